import { consent } from '@salus/contracts';
import { type Message, randomId } from '@salus/protocol';
import { walletError } from './errors.ts';
import { execute } from './outbox.ts';
import { readingLevelOf } from './reading-level.ts';
import { sealFor } from './requests.ts';
import { spreadTimeMs } from './schedule.ts';
import { coarseExpiry, type Wallet } from './wallet.ts';
import type { Effect, WalletContext } from './wallet-state.ts';

/** How long a directive stands where the patient names no end. */
export const directiveLifeMsDefault = 365 * 86_400_000;

/** What a patient chooses; the rest of a directive follows from the context. */
export type Choice = Pick<consent.DirectiveContent, 'effect' | 'grantees' | 'what' | 'purposes' | 'actions'> &
  Partial<Pick<consent.DirectiveContent, 'untilMs' | 'usesMax' | 'obligations'>>;

const purposeWords: Readonly<Record<string, string>> = {
  TREAT: 'to treat you',
  ETREAT: 'in an emergency',
  HPAYMT: 'for payment',
  HOPERAT: 'to run and improve their work',
  HRESCH: 'for research',
};

function whoText(grantees: Choice['grantees']): string {
  return grantees
    .map((grantee) => {
      if (grantee.kind === 'anyone') return 'anyone';
      if (grantee.kind === 'careTeam') return 'your care team';
      if (grantee.kind === 'role') return `any ${grantee.id}`;
      return grantee.kind === 'person' ? `the person ${grantee.id}` : `the organisation ${grantee.id}`;
    })
    .join(', ');
}

function whatText({ all, categories = [], labels = [], records = [], except }: Choice['what']): string {
  const parts = [
    ...(all === true ? ['your whole record'] : []),
    ...categories.map((name) => `your ${name}`),
    ...labels.map((name) => `what is marked ${name}`),
    ...(records.length > 0 ? [`${records.length} single entries`] : []),
  ];
  const left = [...(except?.categories ?? []), ...(except?.labels ?? []), ...(except?.records ?? [])];
  return `${parts.join(', ')}${left.length > 0 ? `, except ${left.join(', ')}` : ''}`;
}

/** The words that are shown, and signed with the rest (R-CON-6). */
export function directiveText(choice: Choice): string {
  const may = choice.effect === 'permit' ? 'may' : 'may not';
  const actions = choice.actions.length > 0 ? choice.actions.join(' and ') : 'use';
  const why = choice.purposes.map((code) => purposeWords[code] ?? code).join(' or ');
  const end = choice.untilMs === undefined ? '' : ` until ${new Date(choice.untilMs).toISOString()}`;
  const uses = choice.usesMax === undefined ? '' : `, ${choice.usesMax} times at the most`;
  return `${whoText(choice.grantees)} ${may} ${actions} ${whatText(choice.what)} ${why}${end}${uses}.`.replace(
    / +/g,
    ' ',
  );
}

function contentOf(context: WalletContext, choice: Choice, id: string): consent.DirectiveContent {
  const text = directiveText(choice);
  return {
    format: consent.DIRECTIVE_FORMAT,
    id,
    patient: context.did,
    custodian: context.custodian.did,
    ...choice,
    issuer: 'patient',
    text,
    language: 'en',
    readingLevel: readingLevelOf(text),
  };
}

/** Nobody signs what no gate would understand. */
function checkFit(content: consent.DirectiveContent): void {
  const [problem] = consent.directiveProblems(content);
  if (problem !== undefined) throw walletError('directiveUnfit', problem);
  if (!consent.isDirectiveContent(content))
    throw walletError('directiveUnfit', 'It names something that does not exist.');
}

/** Seals a directive for its parties, and gives the message that stands for it on the ledger. */
export async function prepare(wallet: Wallet, context: WalletContext, choice: Choice, nowMs: number) {
  const id = randomId();
  const content = contentOf(context, choice, id);
  checkFit(content);
  const commitment = await sealFor(wallet, context, 'consent/grant', id, content);
  const message: Message = {
    type: 'consent/grant',
    directive: id,
    patient: context.did,
    commitment,
    expiresMs: coarseExpiry(choice.untilMs ?? nowMs + directiveLifeMsDefault),
    uses: choice.usesMax ?? 0,
    endToken: randomId(),
    hosted: false,
  };
  return { content, message };
}

/** The directive as the wallet keeps it once it is on the ledger. */
export function given({ did }: WalletContext['custodian'], content: consent.DirectiveContent, givenMs: number): Effect {
  return { kind: 'directive', directive: { id: content.id, custodian: did, givenMs, content: { ...content } } };
}

/** Seals, signs and commits one directive in one context; `keep` changes the wallet when the signed one is kept. */
export async function give(
  wallet: Wallet,
  context: WalletContext,
  choice: Choice,
  { nowMs = Date.now(), keep }: { nowMs?: number; keep?: () => void } = {},
) {
  const { content, message } = await prepare(wallet, context, choice, nowMs);
  const effect = given(context.custodian, content, nowMs);
  const { hash } = await execute(wallet, context, [message], { effect, ...(keep && { keep }) });
  return { directive: content.id, custodian: context.custodian.slug, text: content.text, transaction: hash };
}

/** The same choice in every context, each at a random time of its own: `sendDue` sends what has come due. */
export function giveEverywhere(wallet: Wallet, choice: Choice, nowMs = Date.now()) {
  for (const context of wallet.state.contexts) checkFit(contentOf(context, choice, randomId()));
  const scheduled = wallet.state.contexts.map((context) => ({
    dueMs: spreadTimeMs(nowMs),
    custodian: context.custodian.did,
    content: { ...choice },
  }));
  wallet.state.scheduled.push(...scheduled);
  wallet.save();
  return scheduled.map(({ dueMs, custodian }) => ({ dueMs, custodian }));
}

export async function sendDue(wallet: Wallet, nowMs = Date.now()) {
  const sent = [];
  for (const due of wallet.state.scheduled.filter(({ dueMs }) => dueMs <= nowMs)) {
    const context = wallet.context(due.custodian);
    const keep = (): void => {
      wallet.state.scheduled = wallet.state.scheduled.filter((other) => other !== due);
    };
    sent.push(await give(wallet, context, due.content as unknown as Choice, { nowMs, keep }));
  }
  return { sent, waiting: wallet.state.scheduled.length };
}

/** Ends directives at once. `quiet` says in the sealed notice that nobody is to be told; on the ledger it looks alike. */
export async function revoke(wallet: Wallet, ids: readonly string[], quiet: boolean, nowMs = Date.now()) {
  const revoked = [];
  for (const context of wallet.state.contexts) {
    const here = wallet.state.directives.filter(
      ({ id, custodian, revokedMs }) =>
        custodian === context.custodian.did && revokedMs === undefined && ids.includes(id),
    );
    if (here.length === 0) continue;
    const directives = here.map(({ id }) => id);
    const sealed = { format: 'salus-revocation/1', directives, quiet };
    const notice = await sealFor(wallet, context, 'consent/revoke', directives[0] ?? '', sealed);
    const message: Message = { type: 'consent/revoke', patient: context.did, directives, notice, hosted: false };
    const effect: Effect = { kind: 'revocation', directives, timeMs: nowMs };
    const { hash } = await execute(wallet, context, [message], { effect });
    revoked.push({ custodian: context.custodian.slug, directives, transaction: hash });
  }
  if (revoked.length === 0) throw walletError('directiveUnknown');
  return revoked;
}
