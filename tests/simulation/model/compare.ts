import type { Model } from './model.ts';

/** A decoded value of the ledger's state; undefined where the key is absent. */
export type Read = (key: string) => unknown;
type Row = Record<string, unknown>;

/** Facts of one row by the model, and by the ledger's state. */
type Sides = { model: unknown; ledger: unknown };
type Group = { touched: () => string[]; all: () => string[]; sides: (key: string, read: Read) => Sides };

const digit = (value: unknown): number => Number(value ?? 0);

function groups(model: Model): Record<string, Group> {
  const { identity, governance, records, consent, access } = model;
  const of = <V>(
    table: { takeTouched(): string[]; keys(): string[]; get(key: string): V | undefined },
    stateKey: (key: string) => string,
    modelFacts: (row: V, key: string) => unknown,
    ledgerFacts: (stored: Row, key: string) => unknown,
  ): Group => ({
    touched: () => table.takeTouched(),
    all: () => table.keys(),
    sides: (key, read) => {
      const row = table.get(key);
      const stored = read(stateKey(key));
      return {
        model: row === undefined ? null : modelFacts(row, key),
        ledger: stored === undefined ? null : ledgerFacts(stored as Row, key),
      };
    },
  });
  const same = (value: unknown): unknown => value;
  return {
    participant: of(
      identity.parties,
      (did) => `identity/participant/${did}`,
      (row) => [
        row.kind,
        row.status,
        row.registeredBy,
        row.isBound ?? false,
        row.mergedInto ?? '',
        row.roles ?? [],
        row.licence?.untilMs ?? 0,
        row.suspendedUntilMs ?? 0,
      ],
      (row) => [
        row.kind,
        row.status,
        row.registeredBy,
        row.bound ?? false,
        row.mergedInto ?? '',
        row.roles ?? [],
        (row.licence as Row)?.untilMs ?? 0,
        row.suspendedUntilMs ?? 0,
      ],
    ),
    key: of(
      identity.keys,
      (kid) => `identity/key/${kid.replace('#', '/')}`,
      (row) => [row.purpose, row.thumbprint, row.expiresMs ?? 0, row.isRevoked],
      (row) => [row.purpose, row.thumbprint, row.expiresMs ?? 0, row.revokedMs !== undefined],
    ),
    slug: of(identity.slugs, (slug) => `identity/slug/${slug}`, same, same),
    identifier: of(identity.identifiers, (row) => `identity/identifier/${row.replace(' ', '/')}`, same, same),
    cases: of(
      identity.cases,
      (did) => `identity/case/${did}/count`,
      (row) => row.length,
      same,
    ),
    member: of(
      governance.members,
      (did) => `governance/member/${did}`,
      (row) => [row.class, row.isActive ? 'active' : 'removed', row.admittedHeight, row.suspension?.untilMs ?? 0],
      (row) => [row.class, row.status, row.admittedHeight, (row.suspension as Row)?.untilMs ?? 0],
    ),
    proposal: of(
      governance.proposals,
      (number) => `governance/proposals/all/${number}`,
      (row) => [
        row.by,
        row.digest,
        row.deadlineMs,
        row.executeUntilMs,
        row.outcome ?? 'open',
        Object.entries(row.electorate).sort(),
      ],
      (row) => [
        row.by,
        row.digest,
        row.deadlineMs,
        row.executeUntilMs,
        (row.closed as Row)?.outcome ?? 'open',
        Object.entries(row.electorate as Row).sort(),
      ],
    ),
    ballot: of(
      governance.ballots,
      (row) => `governance/ballot/${row.replace(' ', '/')}`,
      same,
      (row) => row.choice,
    ),
    parameter: of(
      governance.parameters,
      (name) => `governance/parameter/${name}`,
      (row) => row.value,
      (row) => row.value,
    ),
    draft: of(governance.drafts, (digest) => `governance/draft/${digest}`, same, same),
    versions: of(
      governance.versions,
      (id) => `governance/versions/${id}/count`,
      (row) => row.length,
      same,
    ),
    validator: of(
      governance.validators.rows,
      (key) => `governance/validator/${key}`,
      (row) => [row.member, row.steps.at(-1)?.power ?? 0],
      (row) => [row.member, ((row.steps as Row[]).at(-1)?.power ?? row.power) as number],
    ),
    record: of(
      records.records,
      (id) => `records/head/${id}`,
      (row) =>
        row.status === 'erased'
          ? [row.custodian, row.status, row.latest]
          : [row.custodian, row.status, row.latest, row.current, row.open ?? 0, row.patient, row.policy?.needed ?? 0],
      (row) =>
        row.status === 'erased'
          ? [row.custodian, row.status, row.latest]
          : [
              row.custodian,
              row.status,
              row.latest,
              row.current,
              row.open ?? 0,
              row.patient,
              (row.policy as Row)?.needed ?? 0,
            ],
    ),
    version: of(
      records.versions,
      (row) => `records/version/${row.replace(' ', '/')}`,
      (row) => [row.status, row.accepted.length, row.rejected.length],
      (row) =>
        row.erasedMs === undefined
          ? [row.status, digit((row.accepted as [])?.length), digit((row.rejected as [])?.length)]
          : null,
    ),
    annotations: of(records.annotations, (id) => `records/annotation/${id}/count`, same, same),
    directive: of(
      consent.directives,
      (id) => `consent/directive/${id}`,
      (row) => [row.patient, row.expiresMs, row.uses, row.used, row.isRevoked],
      (row) => [row.patient, row.expiresMs, row.uses, row.used, row.revokedMs !== undefined],
    ),
    ended: of(
      consent.ended,
      (row) => `consent/ended/${row.replace(' ', '/')}`,
      () => true,
      () => true,
    ),
    request: of(
      access.requests,
      (id) => `access/request/${id}`,
      (row) => [row.requester, row.custodian, row.patient, row.expiresMs, row.decision ?? '', row.untilMs ?? 0],
      (row) => [row.requester, row.custodian, row.patient, row.expiresMs, row.decision ?? '', row.untilMs ?? 0],
    ),
    release: of(
      access.releases,
      (id) => `access/release/${id}`,
      same,
      (row) => String(row.basis).split(':')[0],
    ),
    glass: of(
      access.glasses,
      (id) => `access/glass/${id}`,
      (row) => [row.custodian, row.patient, row.practitioner, row.untilMs, row.isRefused, row.isReviewed],
      (row) => [row.custodian, row.patient, row.practitioner, row.untilMs, row.refused, row.review !== undefined],
    ),
    routine: of(access.routine, (row) => `access/routine/${row}`, same, same),
    entries: of(access.entries, (row) => `access/entries/${row}/count`, same, same),
  };
}

/** Prefixes below which the ledger has one value for each row of the model, and no other. */
const counted: Record<string, string> = {
  participant: 'identity/participant/',
  key: 'identity/key/',
  member: 'governance/member/',
  ballot: 'governance/ballot/',
  record: 'records/head/',
  directive: 'consent/directive/',
  ended: 'consent/ended/',
  request: 'access/request/',
  release: 'access/release/',
  glass: 'access/glass/',
};

/** Where model and ledger stand apart after a block. */
export class Comparison {
  readonly #groups: Record<string, Group>;

  constructor(model: Model) {
    this.#groups = groups(model);
  }

  /** Rows that changed since the last time. */
  ofChanges(read: Read): string[] {
    return Object.entries(this.#groups).flatMap(([name, group]) => differences(name, group, group.touched(), read));
  }

  ofAll(read: Read, count: (prefix: string) => number): string[] {
    return Object.entries(this.#groups).flatMap(([name, group]) => {
      const keys = group.all();
      const prefix = counted[name];
      const found = prefix === undefined ? keys.length : count(prefix);
      const wrong = found === keys.length ? [] : [`${name}: ${found} in the ledger, ${keys.length} by the model`];
      return [...wrong, ...differences(name, group, keys, read)];
    });
  }
}

function differences(name: string, group: Group, keys: readonly string[], read: Read): string[] {
  return keys.flatMap((key) => {
    const { model, ledger } = group.sides(key, read);
    const [expected, found] = [JSON.stringify(model), JSON.stringify(ledger)];
    return expected === found ? [] : [`${name} ${key} is ${found} in the ledger, ${expected} by the model`];
  });
}
