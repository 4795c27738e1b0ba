import type { VoteReport } from './vote-report.ts';

const secondMs = 1_000;
const minuteSeconds = 60;
const hourSeconds = 3_600;
const daySeconds = 86_400;

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}

/** `2026-03-02T10:00:00Z` and how far that is. */
function when(timeMs: number, nowMs: number): string {
  const seconds = Math.round(Math.abs(timeMs - nowMs) / secondMs);
  const units: [size: number, name: string][] = [
    [daySeconds, 'd'],
    [hourSeconds, 'h'],
    [minuteSeconds, 'min'],
  ];
  const [size, name] = units.find(([least]) => seconds >= 2 * least) ?? [1, 's'];
  const away = `${Math.floor(seconds / size)} ${name}`;
  const iso = new Date(timeMs).toISOString().replace(/\.\d+/, '');
  return `${iso} (${timeMs >= nowMs ? `in ${away}` : `${away} ago`})`;
}

/** What is missing for adoption while votes are taken, in as few words as a table has room for. */
function missingText({ standing }: VoteReport): string {
  if (!standing) return '';
  const { voted, quorum, approving, approvingNeeded, vetoing, vetoingMax, outcome } = standing;
  if (outcome === 'vetoed') return `vetoed by ${vetoing.join(', ')}`;
  if (outcome === 'adopted') return 'enough as it stands';
  const parts = [
    ...(voted < quorum ? [`${quorum - voted} more to vote`] : []),
    ...(approving.length < approvingNeeded ? [`${approvingNeeded - approving.length} more classes to approve`] : []),
    ...(vetoing.length > 0 ? [`${vetoing.length} of ${vetoingMax} vetoes that stop it`] : []),
  ];
  return parts.join(', ').replace('1 more classes', '1 more class');
}

/** From when on it counts, or would. */
function effectText({ status, closed, isAnnounced, rules, activationHeight, kind }: VoteReport): string {
  const { effectiveHeight, height } = closed ?? {};
  if (status === 'withdrawn') return `withdrawn at block ${height}`;
  if (status === 'executed') {
    const from = effectiveHeight ?? height;
    return kind === 'remove' && effectiveHeight !== undefined
      ? `in force since block ${height}, its validators leave at block ${effectiveHeight}`
      : `in force from block ${from} on`;
  }
  if (status !== 'open' && status !== 'adopted') return 'not in force';
  const after = activationHeight > 0 ? `not before block ${activationHeight}` : '';
  const start = isAnnounced ? `${rules.noticeBlocks} blocks after its execution` : 'at once when it is executed';
  return [start, after].filter((part) => part !== '').join(', ');
}

function nextText({ status, deadlineMs, executeUntilMs }: VoteReport, nowMs: number): string {
  if (status === 'open') return `votes until ${when(deadlineMs, nowMs)}`;
  if (status === 'adopted') return `to be executed until ${when(executeUntilMs, nowMs)}`;
  return '';
}

/** One line for each proposal. */
export function listText(proposals: readonly VoteReport[], left: number, nowMs: number): string[] {
  if (proposals.length === 0) return ['No proposal was ever made.'];
  const rows = proposals.map((one) => [
    String(one.proposal),
    one.status,
    one.what,
    `by ${one.by.slug}`,
    one.standing ? `${one.standing.voted} of ${one.standing.electorate} voted` : '',
    [nextText(one, nowMs), one.status === 'open' ? missingText(one) : effectText(one)]
      .filter((part) => part !== '')
      .join('; '),
  ]);
  return [
    ...table(rows),
    ...(left > 0 ? [`  ${left} older ones: --past ${left + proposals.length} shows them all`] : []),
  ];
}

function percent(perMille: number): string {
  return `${perMille / 10} %`;
}

function tallyLines({ tally = {} }: VoteReport): string[] {
  const rows = Object.entries(tally).map(([name, { members, yes, no, abstain, veto }]) => [
    name,
    ...[members, yes, no, abstain, veto].map(String),
  ]);
  return table([['class', 'members', 'yes', 'no', 'abstain', 'veto'], ...rows]);
}

function standingLines({ standing, rules, status }: VoteReport): string[] {
  if (!standing) return [];
  const { voted, electorate, quorum, classes, approving, approvingNeeded, vetoing, vetoingMax, outcome } = standing;
  const names = (list: readonly string[]): string => (list.length === 0 ? '' : ` (${list.join(', ')})`);
  return [
    `  quorum     ${voted} of ${electorate} voted, ${quorum} are needed`,
    `  approval   ${approving.length} of ${classes} classes${names(approving)}, ${approvingNeeded} are needed; a class approves with more than ${percent(rules.approvalPerMille)} yes`,
    `  veto       ${vetoing.length} of ${vetoingMax} that stop it${names(vetoing)}; a class vetoes with more than ${percent(rules.vetoPerMille)} of its members`,
    ...(status === 'open' ? [`  if voting ended now: ${outcome}`] : []),
  ];
}

function ballotLines({ ballots = [], status }: VoteReport, nowMs: number): string[] {
  const cast = ballots.filter(({ choice }) => choice !== undefined);
  const lines = table(
    cast.map(({ slug, class: memberClass, choice = '', atMs = 0, counts }) => [
      slug,
      memberClass,
      choice,
      when(atMs, nowMs),
      counts ? '' : 'does not count: suspended or removed',
    ]),
  );
  const silent = ballots.filter(({ choice }) => choice === undefined).map(({ slug }) => slug);
  const label = status === 'open' ? 'have not voted yet' : 'did not vote';
  return [...lines, ...(silent.length > 0 ? [`  ${label}: ${silent.join(', ')}`] : [])];
}

/** A member on this machine: what it signs with, and where its node answers. */
export type Here = { slug: string; dataDir: string; url: string };

/** What can be done next: by those on this machine that have not voted yet, or by anybody. */
function commandLines({ status, proposal, ballots = [] }: VoteReport, here: readonly Here[]): string[] {
  if (status !== 'open' && status !== 'adopted') return [];
  const verb = status === 'open' ? 'vote' : 'execute';
  const silent = ballots.filter(({ choice }) => choice === undefined).map(({ slug }) => slug);
  const able = status === 'open' ? here.filter(({ slug }) => silent.includes(slug)) : here.slice(0, 1);
  const anybody = { slug: 'MEMBER', dataDir: 'DIRECTORY', url: 'ADDRESS' };
  const named = here.length === 0 ? [anybody] : able;
  if (named.length === 0) return [];
  const lines = named.map(({ slug, dataDir, url }) => {
    return `salus network ${verb} ${proposal} --data ${dataDir} --org ${slug} --url ${url}`;
  });
  return ['', ...lines];
}

/** Everything about one proposal. `here` are the members of a network on this machine. */
export function detailText(one: VoteReport, nowMs: number, here: readonly Here[]): string[] {
  const next = nextText(one, nowMs);
  return [
    `Proposal ${one.proposal} is ${one.status}: ${one.what}`,
    `  opened     by ${one.by.slug}, ${when(one.openedMs, nowMs)}, block ${one.openedHeight}`,
    `  ends       ${next === '' ? `votes were taken until ${when(one.deadlineMs, nowMs)}` : next}`,
    `  effect     ${effectText(one)}`,
    `  digest     ${one.digest}`,
    `  reason     ${one.reason} (digest of a document that is published elsewhere)`,
    '',
    ...tallyLines(one),
    '',
    ...standingLines(one),
    '',
    ...ballotLines(one, nowMs),
    ...commandLines(one, here),
  ];
}
