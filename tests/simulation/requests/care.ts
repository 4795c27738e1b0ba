import type { Wish } from '../clients.ts';
import { dayMs, monthMs } from '../model/core.ts';
import type { Party } from '../model/identity.ts';
import { Requests } from './base.ts';

const recordsMax = 40;

/** Records, consent and access: what goes on between patients, their custodians and who asks. */
export class CareRequests extends Requests {
  any(nowMs: number): Wish {
    return this.random.weighted<() => Wish>([
      [3, () => this.#anchor()],
      [2, () => this.#policy()],
      [3, () => this.#propose()],
      [5, () => this.#vote()],
      [2, () => this.#aboutRecord()],
      [4, () => this.#grant(nowMs)],
      [2, () => this.#revoke()],
      [1, () => this.#endCondition()],
      [4, () => this.#request(nowMs)],
      [5, () => this.#decide(nowMs)],
      [6, () => this.#release()],
      [3, () => this.#glass()],
      [this.model.access.glasses.keys().length > 0 ? 2 : 0, () => this.#review()],
      [2, () => this.#batch(nowMs)],
    ])();
  }

  #patient(filter: (party: Party) => boolean = () => true): Party {
    const some = this.parties('patient', filter);
    return this.random.pick(some.length > 0 ? some : this.parties('patient'));
  }

  #bound(): Party {
    return this.#patient(({ isBound }) => isBound === true);
  }

  /** An authority over this patient that somebody holds, and its holder. */
  #held(patient: string): { authority?: string; signer: string } {
    const rows = this.model.identity.authorities.entries().filter(([row, { holder }]) => {
      return row.startsWith(`${patient} `) && this.model.identity.parties.has(holder);
    });
    if (rows.length === 0 || this.random.chance(0.6)) return { signer: patient };
    const [row, { holder }] = this.random.pick(rows);
    return { authority: row.split(' ')[1] as string, signer: holder };
  }

  #anchor(): Wish {
    const known = this.model.records.records.entries();
    const entries = Array.from({ length: this.random.between(1, this.random.chance(0.1) ? 6 : 2) }, () => {
      const [record, row] =
        known.length > 0 && (known.length > recordsMax || this.random.chance(0.4))
          ? this.random.pick(known)
          : [this.id(), undefined];
      const patient = row?.patient ?? this.#patient().did;
      const version = (row?.latest ?? 0) + (this.random.chance(0.05) ? 2 : 1);
      return { record, version, patient, commitment: this.digest() };
    });
    const first = entries[0]!;
    const custodian = this.model.records.records.get(first.record)?.custodian ?? this.party(first.patient).registeredBy;
    const own = entries.filter(
      ({ patient }) => this.random.chance(0.1) || this.model.identity.custodianOf(patient) === custodian,
    );
    return this.wish({ type: 'records/anchor', entries: own.length > 0 ? own : [first] }, custodian);
  }

  #record(filter: (id: string) => boolean = () => true): string {
    const all = this.model.records.records.keys();
    const some = all.filter(filter);
    if (this.random.chance(0.03) || all.length === 0) return this.id();
    return this.random.pick(some.length > 0 ? some : all);
  }

  #policy(): Wish {
    const record = this.#record();
    const row = this.model.records.records.get(record);
    const custodian = row?.custodian ?? this.custodian();
    const staff = this.parties('practitioner', ({ registeredBy }) => registeredBy === custodian).map(({ did }) => did);
    const patient = row?.patient ?? this.#patient().did;
    const approvers = this.random.shuffled([...staff, patient, custodian]).slice(0, this.random.between(1, 4));
    const { length } = approvers;
    const policy = this.random.pick([
      { kind: 'reviewers', approvers, needed: this.random.between(1, length) },
      { kind: 'careTeam', approvers, needed: Math.floor(length / 2) + 1 },
      { kind: 'authorAndPatient', approvers: approvers.slice(0, 2), needed: 2 },
    ]);
    const consenting = row?.policy && this.random.chance(0.7) ? row.policy.approvers.slice(0, row.policy.needed) : [];
    return this.wish({ type: 'records/setPolicy', record, policy }, custodian, ...consenting.slice(0, 4));
  }

  #propose(): Wish {
    const record = this.#record(
      (id) => this.model.records.records.get(id)?.policy !== undefined || this.random.chance(0.1),
    );
    const row = this.model.records.records.get(record);
    const version = (row?.latest ?? 0) + (this.random.chance(0.05) ? 2 : 1);
    const patient = row?.patient ?? this.#patient().did;
    const held = this.#held(patient);
    const by = this.random.pick([row?.custodian ?? this.custodian(), held.signer, ...(row?.policy?.approvers ?? [])]);
    const authority = by === held.signer && held.authority !== undefined ? { authority: held.authority } : {};
    return this.wish({ type: 'records/propose', record, version, commitment: this.digest(), ...authority }, by);
  }

  #vote(): Wish {
    const record = this.#record(
      (id) => this.model.records.records.get(id)?.open !== undefined || this.random.chance(0.03),
    );
    const row = this.model.records.records.get(record);
    const version = row?.open ?? Math.max(1, row?.latest ?? 1);
    const held = this.#held(row?.patient ?? this.#patient().did);
    const isHeld = this.random.chance(0.2);
    const by = isHeld ? held.signer : this.random.pick(row?.policy?.approvers ?? [this.anybody()]);
    const members = { record, version, ...(isHeld && held.authority !== undefined && { authority: held.authority }) };
    return this.random.weighted<() => Wish>([
      [5, () => this.wish({ type: 'records/validate', ...members }, by)],
      [3, () => this.wish({ type: 'records/reject', ...members, reason: this.digest() }, by)],
      [1, () => this.wish({ type: 'records/dispute', ...members, statement: this.digest() }, held.signer)],
    ])();
  }

  #aboutRecord(): Wish {
    const record = this.#record();
    const row = this.model.records.records.get(record);
    const custodian = row?.custodian ?? this.custodian();
    const held = this.#held(row?.patient ?? this.#patient().did);
    const authority = held.authority === undefined ? {} : { authority: held.authority };
    const restricted = this.random.chance(0.8) ? row?.status !== 'restricted' : this.random.chance(0.5);
    return this.random.weighted<() => Wish>([
      [3, () => this.wish({ type: 'records/annotate', record, commitment: this.digest(), ...authority }, held.signer)],
      [3, () => this.wish({ type: 'records/restrict', record, restricted, reason: this.digest() }, custodian)],
      [2, () => this.wish({ type: 'records/erase', records: [record], certificate: this.digest() }, custodian)],
    ])();
  }

  #grant(nowMs: number): Wish {
    const patient = this.#bound();
    const held = this.#held(patient.did);
    const steps = this.random.pick([0, 1, 1, 2, 12, 200]);
    const message = {
      type: 'consent/grant',
      directive: this.random.chance(0.04) ? this.idOf(this.model.consent.directives.keys()) : this.id(),
      patient: patient.did,
      commitment: this.digest(),
      expiresMs: (Math.floor(nowMs / monthMs) + steps) * monthMs + (this.random.chance(0.04) ? 1 : 0),
      uses: this.random.pick([0, 0, 1, 1, 2, 60]),
      endToken: Buffer.alloc(16, this.random.between(0, 30)).toString('base64url'),
      ...(this.random.chance(0.2) && { endIssuer: this.anybody() }),
      hosted: this.random.chance(0.3),
      ...(held.authority !== undefined && { authority: held.authority }),
    };
    return this.wish(message, held.signer);
  }

  #revoke(): Wish {
    const all = this.model.consent.directives.entries();
    const id = this.idOf(all.filter(([, row]) => !row.isRevoked || this.random.chance(0.1)).map(([key]) => key));
    const patient = this.model.consent.directives.get(id)?.patient ?? this.#bound().did;
    const others = all
      .filter(([key, row]) => row.patient === patient && key !== id && !row.isRevoked)
      .map(([key]) => key);
    const directives = [id, ...others.slice(0, this.random.between(0, 1))];
    const held = this.#held(patient);
    const members = { patient, directives, notice: this.digest(), hosted: false };
    const authority = held.authority === undefined ? {} : { authority: held.authority };
    return this.wish({ type: 'consent/revoke', ...members, ...authority }, held.signer);
  }

  #endCondition(): Wish {
    const tokens = [this.random.between(0, 30), this.random.between(31, 60)].map((n) =>
      Buffer.alloc(16, n).toString('base64url'),
    );
    return this.wish(
      { type: 'consent/endCondition', tokens: tokens.slice(0, this.random.between(1, 2)) },
      this.custodian(),
    );
  }

  #request(nowMs: number): Wish {
    const patient = this.#bound();
    const staff = this.parties('practitioner').map(({ did }) => did);
    const by = this.random.pick([...staff, this.organisation(), this.organisation()]);
    const isStranger = this.random.chance(0.05);
    const message = {
      type: 'access/request',
      request: this.random.chance(0.03) ? this.idOf(this.model.access.requests.keys()) : this.id(),
      custodian: this.random.chance(0.95) ? patient.registeredBy : this.anybody(),
      patient: isStranger ? `did:salus:${this.random.base64url(20)}` : patient.did,
      commitment: this.digest(),
      ...(this.random.chance(0.5) && { timeoutMs: this.random.pick([1_000, 8_000, 30_000, 8 * dayMs]) }),
    };
    return nowMs > 0 ? this.wish(message, by) : this.wish(message, by);
  }

  #decide(nowMs: number): Wish {
    const open = this.model.access.requests
      .entries()
      .filter(([, row]) => row.decision === undefined || this.random.chance(0.05));
    const [request, row] =
      open.length > 0 && !this.random.chance(0.03) ? this.random.pick(open) : [this.id(), undefined];
    const patient = row?.patient ?? this.#bound().did;
    const held = this.#held(patient);
    const decision = this.random.chance(0.7) ? 'permit' : 'deny';
    const ahead = this.random.pick([-1_000, 3_000, 30_000, dayMs, 2 * monthMs]);
    const untilMs = decision === 'deny' && !this.random.chance(0.05) ? 0 : Math.floor(nowMs + ahead);
    const directives = this.model.consent.directives.keys();
    const message = {
      type: 'access/decide',
      request,
      decision,
      untilMs,
      commitment: this.digest(),
      ...(directives.length > 0 && this.random.chance(0.1) && { directive: this.random.pick(directives) }),
      hosted: false,
      ...(held.authority !== undefined && { authority: held.authority }),
    };
    const signer = this.model.identity.parties.has(held.signer) ? held.signer : this.anybody();
    return this.wish(message, signer);
  }

  #release(): Wish {
    const { requests, glasses } = this.model.access;
    const { directives } = this.model.consent;
    const kind = this.random.pick([
      'request',
      'request',
      'directive',
      'directive',
      'breakGlass',
      'rule',
      'authority',
      'subject',
    ]);
    let patient = this.#patient().did;
    let basis: Record<string, unknown> = { kind: 'subject' };
    if (kind === 'request') {
      const request = this.idOf(requests.keys());
      basis = { kind, request };
      patient = requests.get(request)?.patient ?? patient;
    } else if (kind === 'directive') {
      const id = this.idOf(directives.keys());
      patient = directives.get(id)?.patient ?? patient;
      const other = directives.keys().filter((key) => key !== id && directives.get(key)?.patient === patient);
      basis = { kind, directives: [id, ...other.slice(0, this.random.chance(0.2) ? 1 : 0)] };
    } else if (kind === 'breakGlass') {
      const glass = this.idOf(glasses.keys());
      basis = { kind, glass };
      patient = glasses.get(glass)?.patient ?? patient;
    } else if (kind === 'rule') {
      basis = {
        kind,
        ruleSet: this.random.chance(0.1) ? this.digest() : this.random.pick(this.model.governance.ruleSets.keys()),
      };
    } else if (kind === 'authority') {
      const rows = this.model.identity.authorities.keys();
      const [owner, authority] = rows.length > 0 ? this.random.pick(rows).split(' ') : [patient, this.id()];
      patient = owner as string;
      basis = { kind, authority };
    }
    const release = this.random.chance(0.03) ? this.idOf(this.model.access.releases.keys()) : this.id();
    const custodian = this.model.identity.custodianOf(patient) ?? this.custodian();
    const by = this.random.chance(0.05) ? this.organisation() : custodian;
    return this.wish({ type: 'access/release', release, patient, basis, commitment: this.digest() }, by);
  }

  #glass(): Wish {
    const { identity, timeMs } = this.model;
    const licensed = this.parties('practitioner', ({ did }) => identity.isLicensed(did, timeMs));
    const isAny = licensed.length === 0 || this.random.chance(0.15);
    const person = isAny ? this.party(this.anybody()) : this.random.pick(licensed);
    const patient = this.#patient();
    const message = {
      type: 'access/breakGlass',
      glass: this.random.chance(0.04) ? this.idOf(this.model.access.glasses.keys()) : this.id(),
      custodian: patient.registeredBy,
      patient: patient.did,
      practitioner: person.did,
      reason: this.digest(),
      windowMs: this.random.pick([1_000, 10_000, 3_600_000, 20 * 3_600_000]),
    };
    return this.wish(message, this.random.pick([person.did, person.registeredBy]));
  }

  #review(): Wish {
    const { glasses } = this.model.access;
    const open = glasses.entries().filter(([, { isReviewed }]) => !isReviewed || this.random.chance(0.2));
    const glass = this.idOf(open.map(([id]) => id));
    const row = glasses.get(glass);
    const officers = this.parties('practitioner', ({ roles, registeredBy }) => {
      return registeredBy === row?.custodian && (roles ?? []).includes('officer');
    });
    const by = this.random.pick([
      row?.custodian ?? this.custodian(),
      row?.practitioner ?? this.anybody(),
      ...officers.map(({ did }) => did),
    ]);
    return this.wish({ type: 'access/review', glass, outcome: 'justified', commitment: this.digest() }, by);
  }

  #batch(nowMs: number): Wish {
    const custodian = this.custodian();
    const own = this.parties('patient', ({ registeredBy }) => registeredBy === custodian);
    const count = this.random.chance(0.1) ? 5 : this.random.between(1, 4);
    const patients = Array.from(
      { length: count },
      () => (own.length > 0 ? this.random.pick(own) : this.#patient()).did,
    );
    if (this.random.chance(0.5)) {
      const entries = patients.map((did) => [did, this.digest()]);
      return this.wish({ type: 'access/anchorBatch', entries }, custodian);
    }
    const occurredMs = Math.floor(nowMs + this.random.pick([-60_000, -5_000, -5_000, 900_000]));
    const entries = patients.map((did) => [did, this.digest(), occurredMs]);
    return this.wish({ type: 'access/lateAnchor', entries, reason: this.digest() }, custodian);
  }
}
