import {
  type Context,
  type Journal,
  type Judgement,
  type MessageJson,
  monthMs,
  Reasons,
  refusedFor,
  Table,
} from './core.ts';

export type Status = 'active' | 'suspended' | 'ended' | 'deceased';
export type Party = {
  did: string;
  kind: 'organisation' | 'practitioner' | 'patient' | 'delegate' | 'device';
  status: Status;
  registeredBy: string;
  keyCount: number;
  role?: string;
  slug?: string;
  isMember?: boolean;
  suspendedUntilMs?: number;
  roles?: string[];
  licence?: { profession: string; status: string; untilMs: number };
  isBound?: boolean;
  mergedInto?: string | undefined;
};
export type KeyRow = {
  name: string;
  purpose: string;
  curve: string;
  thumbprint: string;
  expiresMs: number | undefined;
  isRevoked: boolean;
};
export type KeyJson = { name: string; purpose: string; suite: string; jwk: Record<string, string>; expiresMs?: number };
export type Authority = { holder: string; basis: string; by: string; expiresMs: number; isRevoked: boolean };

/** What keys and names of keys stand for, which a model cannot know by itself: told by whoever makes the keys. */
export type KeyFacts = {
  thumbprintOf(jwk: Record<string, string>): string;
  didOf(jwk: Record<string, string>): string;
};

const overlapMsMax = 30 * 86_400_000;
const keysMax = 256;
const authorityMsMax = 30 * 365 * 86_400_000;

export class IdentityModel {
  readonly parties: Table<Party>;
  readonly keys: Table<KeyRow>;
  readonly thumbprints: Table<string>;
  readonly slugs: Table<string>;
  readonly authorities: Table<Authority>;
  readonly identifiers: Table<string>;
  readonly cases: Table<boolean[]>;
  readonly facts: KeyFacts;

  constructor(journal: Journal, facts: KeyFacts) {
    this.facts = facts;
    this.parties = new Table(journal);
    this.keys = new Table(journal);
    this.thumbprints = new Table(journal);
    this.slugs = new Table(journal);
    this.authorities = new Table(journal);
    this.identifiers = new Table(journal);
    this.cases = new Table(journal);
  }

  found(did: string, kind: Party['kind']): Party | undefined {
    const party = this.parties.get(did);
    return party?.kind === kind ? party : undefined;
  }

  isActive(did: string): boolean {
    return this.parties.get(did)?.status === 'active';
  }

  isActiveOrganisation(did: string): boolean {
    return this.found(did, 'organisation')?.status === 'active';
  }

  isRegulator(did: string): boolean {
    const party = this.found(did, 'organisation');
    return party?.status === 'active' && party.role === 'regulator';
  }

  isInStanding(did: string, nowMs: number): boolean {
    const party = this.found(did, 'organisation');
    return party?.status === 'active' && (party.suspendedUntilMs ?? 0) <= nowMs;
  }

  custodianOf(did: string): string | undefined {
    return this.found(did, 'patient')?.registeredBy;
  }

  currentPatient(did: string): string {
    return this.found(did, 'patient')?.mergedInto ?? did;
  }

  key(did: string, name: string): KeyRow | undefined {
    return this.keys.get(`${did}#${name}`);
  }

  keysOf(did: string): KeyRow[] {
    return this.keys.entries().flatMap(([kid, row]) => (kid.startsWith(`${did}#`) ? [row] : []));
  }

  isKeyActive({ isRevoked, expiresMs }: KeyRow, nowMs: number): boolean {
    return !isRevoked && (expiresMs === undefined || expiresMs > nowMs);
  }

  isLicensed(did: string, nowMs: number): boolean {
    const person = this.found(did, 'practitioner');
    const { licence } = person ?? {};
    if (!person || !licence || person.status !== 'active' || !this.isInStanding(person.registeredBy, nowMs))
      return false;
    return licence.status === 'active' && licence.untilMs > nowMs && (person.roles ?? []).includes(licence.profession);
  }

  authority(patient: string, id: string): Authority | undefined {
    return this.authorities.get(`${patient} ${id}`);
  }

  isInForce(patient: string, authority: Authority, nowMs: number): boolean {
    if (authority.isRevoked || authority.expiresMs <= nowMs) return false;
    return authority.basis !== 'patient' || this.parties.get(patient)?.status !== 'deceased';
  }

  /** Whether `signer` may act for the patient under an authority. */
  mayActFor(signer: string, patient: string, id: string, nowMs: number): boolean {
    const held = this.authority(patient, id);
    if (!held || !this.found(patient, 'patient') || held.holder !== signer || !this.isActive(signer)) return false;
    return this.isInForce(patient, held, nowMs);
  }

  #carrying(message: MessageJson): { did: string; keys: KeyJson[] } | undefined {
    const { type, keys } = message;
    const isRegistration = /^identity\/register(Organisation|Practitioner|Patient|Delegate|Device)$/.test(type);
    if (!Array.isArray(keys) || !(isRegistration || type === 'identity/bindPatient')) return undefined;
    return { did: String(isRegistration ? message.did : message.patient), keys: keys as KeyJson[] };
  }

  /** The key that a signature must be good under, whoever may sign or not: registered, or carried where there is none. */
  materialOf(did: string, name: string, messages: readonly MessageJson[]): string | undefined {
    if ((this.parties.get(did)?.keyCount ?? 0) > 0) {
      const row = this.key(did, name);
      return row && row.purpose === 'sign' ? row.thumbprint : undefined;
    }
    return this.carriedMaterialOf(did, name, messages);
  }

  /** Thumbprint of the key that the messages themselves have for this name, whether or not it still counts. */
  carriedMaterialOf(did: string, name: string, messages: readonly MessageJson[]): string | undefined {
    for (const message of messages) {
      const carried = this.#carrying(message);
      if (carried?.did !== did) continue;
      const spec = carried.keys.find((key) => key.name === name);
      if (spec?.purpose === 'sign') return this.facts.thumbprintOf(spec.jwk);
    }
    return undefined;
  }

  /** Why this key may not sign now. */
  signingReasons(did: string, name: string, messages: readonly MessageJson[], nowMs: number): number[] {
    const party = this.parties.get(did);
    if (!party || party.keyCount === 0) return this.materialOf(did, name, messages) === undefined ? [1008] : [];
    if (party.status !== 'active') return [1011];
    const employer = { organisation: did, practitioner: party.registeredBy, device: party.registeredBy }[
      party.kind as string
    ];
    if (employer !== undefined && !this.isInStanding(employer, nowMs)) return [1011];
    const row = this.key(did, name);
    if (!row) return [1008];
    return row.purpose === 'sign' && row.curve === 'P-256' && this.isKeyActive(row, nowMs) ? [] : [1009];
  }

  /** What is wrong with a message whatever the state: such a transaction stands in no block. */
  formReasons(message: MessageJson): number[] {
    const isTwice = (list: unknown[]): boolean => new Set(list).size < list.length;
    const { keys, roles, patients } = message;
    if (Array.isArray(keys) && isTwice((keys as KeyJson[]).map(({ name }) => name))) return [2035];
    if (Array.isArray(roles) && isTwice(roles)) return [2035];
    return message.type === 'identity/openCase' && Array.isArray(patients) && isTwice(patients) ? [2035] : [];
  }

  #keyReasons(did: string, { name, jwk, expiresMs }: KeyJson, { timeMs }: Context): number[] {
    return new Reasons()
      .unless(!this.key(did, name), 2010)
      .unless(expiresMs === undefined || expiresMs > timeMs, 2014)
      .unless((this.parties.get(did)?.keyCount ?? 0) < keysMax, 2015)
      .unless(!this.thumbprints.has(`${did} ${this.facts.thumbprintOf(jwk)}`), 2011).codes;
  }

  #keysReasons(did: string, keys: KeyJson[], context: Context): number[] {
    const prints = keys.map(({ jwk }) => this.facts.thumbprintOf(jwk));
    return [
      ...keys.flatMap((key) => this.#keyReasons(did, key, context)),
      ...(new Set(prints).size < prints.length ? [2011] : []),
    ];
  }

  addKey(did: string, { name, purpose, jwk, expiresMs }: KeyJson): void {
    const thumbprint = this.facts.thumbprintOf(jwk);
    this.keys.set(`${did}#${name}`, { name, purpose, curve: String(jwk.crv), thumbprint, expiresMs, isRevoked: false });
    this.thumbprints.set(`${did} ${thumbprint}`, name);
    const party = this.parties.get(did)!;
    this.parties.set(did, { ...party, keyCount: party.keyCount + 1 });
  }

  #register(party: Omit<Party, 'status' | 'keyCount'>, keys: KeyJson[]): void {
    this.parties.set(party.did, { ...party, status: 'active', keyCount: 0 });
    for (const key of keys) this.addKey(party.did, key);
  }

  /** The organisation among the signers. */
  #registrar({ signers }: Context): { by: string; reasons: number[] } {
    const by = signers.find((did) => this.found(did, 'organisation'));
    if (by === undefined) return { by: '', reasons: [2003] };
    return { by, reasons: this.isActiveOrganisation(by) ? [] : [2038] };
  }

  #didReasons(did: string, keys: KeyJson[]): number[] {
    const first = keys.find(({ purpose }) => purpose === 'sign');
    if (!first) return [2019];
    return this.facts.didOf(first.jwk) === did ? [] : [2009];
  }

  judge(message: MessageJson, context: Context): Judgement {
    const name = message.type.slice('identity/'.length);
    if (name.startsWith('register')) return this.#judgeRegistration(name, message, context);
    if (name.endsWith('Key')) return this.#judgeKey(name, message, context);
    if (name.endsWith('Authority')) return this.#judgeAuthority(name, message, context);
    if (/Patient/.test(name)) return this.#judgePatients(name, message, context);
    if (/Case|Identifier/.test(name)) return this.#judgeCases(name, message, context);
    return this.#judgeStanding(name, message, context);
  }

  #judgeRegistration(name: string, message: MessageJson, context: Context): Judgement {
    const did = String(message.did);
    const keys = (message.keys ?? []) as KeyJson[];
    const reasons = new Reasons().unless(!this.parties.has(did), 2002).add(this.#keysReasons(did, keys, context));
    const isOwn = context.signers.includes(did);
    if (name === 'registerOrganisation') {
      const regulator = context.signers.find((signer) => this.isRegulator(signer));
      const { slug, role } = message as unknown as { slug: string; role: string };
      reasons.unless(regulator, 2007).unless(isOwn, 2008).unless(!this.slugs.has(slug), 2030);
      return reasons.add(this.#didReasons(did, keys)).effect(() => {
        this.slugs.set(slug, did);
        this.#register({ did, kind: 'organisation', registeredBy: regulator!, role, slug }, keys);
      });
    }
    const { by, reasons: unfit } = this.#registrar(context);
    reasons.add(unfit);
    const kind = { registerPractitioner: 'practitioner', registerPatient: 'patient', registerDelegate: 'delegate' }[
      name
    ];
    const mustCarry = name !== 'registerPractitioner' && (name !== 'registerPatient' || keys.length > 0);
    if (mustCarry) reasons.add(this.#didReasons(did, keys)).unless(isOwn, 2008);
    const party = { did, kind: (kind ?? 'device') as Party['kind'], registeredBy: by };
    const more =
      kind === 'practitioner'
        ? { roles: message.roles as string[] }
        : kind === 'patient'
          ? { isBound: keys.length > 0 }
          : {};
    return reasons.effect(() => this.#register({ ...party, ...more }, keys));
  }

  #judgeKey(action: string, message: MessageJson, { signers, timeMs, ...rest }: Context): Judgement {
    const {
      participant: did,
      name,
      key,
      oldUntilMs,
    } = message as unknown as {
      participant: string;
      name: string;
      key: KeyJson;
      oldUntilMs?: number;
    };
    const party = this.parties.get(did);
    if (!party) return refusedFor(2001);
    const isManaged = party.kind === 'practitioner' || party.kind === 'device';
    const reasons = new Reasons()
      .unless(party.kind !== 'patient' || party.isBound, 2018)
      .unless(signers.includes(did) || (isManaged && signers.includes(party.registeredBy)), 2006);
    const context = { signers, timeMs, ...rest };
    if (action === 'addKey')
      return reasons.add(this.#keyReasons(did, key, context)).effect(() => this.addKey(did, key));
    const old = this.key(did, name);
    if (!old) return reasons.add([2012]).effect(() => undefined);
    reasons.unless(this.isKeyActive(old, timeMs), 2013);
    const row = `${did}#${name}`;
    if (action === 'revokeKey') return reasons.effect(() => this.keys.set(row, { ...old, isRevoked: true }));
    reasons.unless(old.purpose === key.purpose, 2012).add(this.#keyReasons(did, key, context));
    if (oldUntilMs !== undefined)
      reasons.unless(oldUntilMs > timeMs, 2014).unless(oldUntilMs <= timeMs + overlapMsMax, 2020);
    return reasons.effect(() => {
      this.addKey(did, key);
      const expiresMs = Math.min(oldUntilMs ?? 0, old.expiresMs ?? Number.MAX_SAFE_INTEGER);
      this.keys.set(row, oldUntilMs === undefined ? { ...old, isRevoked: true } : { ...old, expiresMs });
    });
  }

  #judgeAuthority(action: string, message: MessageJson, { sender, signers, timeMs }: Context): Judgement {
    const {
      patient,
      authority: id,
      holder,
      expiresMs,
    } = message as unknown as Record<string, string> & { expiresMs: number };
    const row = `${patient} ${id}`;
    const held = this.authorities.get(row);
    if (action === 'revokeAuthority') {
      if (!held) return refusedFor(2024);
      const isTheirs = signers.includes(held.by) || signers.includes(held.holder);
      const isRegulated = held.basis !== 'patient' && signers.some((did) => this.isRegulator(did));
      return new Reasons()
        .unless(isTheirs || isRegulated, 2027)
        .unless(!held.isRevoked && held.expiresMs > timeMs, 2025)
        .effect(() => this.authorities.set(row, { ...held, isRevoked: true }));
    }
    const subject = this.found(String(patient), 'patient');
    const isCoarse = expiresMs % monthMs === 0 && expiresMs > timeMs && expiresMs <= timeMs + authorityMsMax;
    const reasons = new Reasons().unless(subject, 2005).unless(isCoarse, 2026).unless(!held, 2023);
    const isGrant = action === 'grantAuthority';
    if (isGrant) reasons.unless(signers.includes(String(patient)), 2027);
    else reasons.unless(subject?.registeredBy === sender || this.isRegulator(sender), 2028);
    const basis = isGrant ? 'patient' : subject?.registeredBy === sender ? 'custodian' : 'regulator';
    const by = isGrant ? String(patient) : sender;
    return reasons.effect(() =>
      this.authorities.set(row, { holder: String(holder), basis, by, expiresMs, isRevoked: false }),
    );
  }

  #judgePatients(action: string, message: MessageJson, context: Context): Judgement {
    const { by, reasons: unfit } = this.#registrar(context);
    const reasons = new Reasons().add(unfit);
    if (action === 'bindPatient') {
      const did = String(message.patient);
      const keys = message.keys as KeyJson[];
      const existing = this.found(did, 'patient');
      if (!existing) return refusedFor(2005);
      return reasons
        .unless(existing.registeredBy === by, 2005)
        .unless(!existing.isBound, 2017)
        .unless(existing.status === 'active', 2022)
        .unless(
          keys.some(({ purpose }) => purpose === 'sign'),
          2019,
        )
        .unless(context.signers.includes(did), 2008)
        .add(this.#keysReasons(did, keys, context))
        .effect(() => {
          this.parties.set(did, { ...existing, isBound: true });
          for (const key of keys) this.addKey(did, key);
        });
    }
    const { survivor, merged } = message as unknown as Record<string, string>;
    const [first, second] = [this.found(String(survivor), 'patient'), this.found(String(merged), 'patient')];
    if (!first || !second || survivor === merged) return reasons.add([2036]).effect(() => undefined);
    reasons.unless(first.registeredBy === by && second.registeredBy === by, 2005);
    if (action === 'mergePatients') reasons.unless(!first.mergedInto && !second.mergedInto, 2036);
    else reasons.unless(second.mergedInto === survivor, 2037);
    const mergedInto = action === 'mergePatients' ? survivor : undefined;
    return reasons.effect(() => this.parties.set(String(merged), { ...second, mergedInto }));
  }

  #judgeCases(action: string, message: MessageJson, { sender }: Context): Judgement {
    if (action === 'closeCase') {
      const cases = this.cases.get(sender) ?? [];
      const number = Number(message.number);
      if (cases[number] === undefined) return refusedFor(2031);
      return new Reasons().unless(cases[number], 2032).effect(() =>
        this.cases.set(
          sender,
          cases.map((isOpen, index) => isOpen && index !== number),
        ),
      );
    }
    const open = (custodian: string): void => this.cases.set(custodian, [...(this.cases.get(custodian) ?? []), true]);
    if (action === 'openCase') {
      const patients = message.patients as string[];
      const custodians = patients.map((did) => this.custodianOf(did));
      const [custodian] = custodians;
      if (custodian === undefined || custodians.some((one) => one !== custodian)) return refusedFor(2005);
      const isOwn = patients.length === 1 && patients[0] === sender;
      return new Reasons().unless(sender === custodian || isOwn, 2006).effect(() => open(custodian));
    }
    const { patient, tag } = message as unknown as Record<string, string>;
    const row = `${sender} ${tag}`;
    const owner = this.identifiers.get(row);
    return new Reasons()
      .unless(this.isActiveOrganisation(sender), 2003)
      .unless(this.custodianOf(String(patient)) === sender, 2005)
      .unless(owner !== patient, 2033)
      .effect(() => (owner === undefined ? this.identifiers.set(row, String(patient)) : open(sender)));
  }

  #judgeStanding(action: string, message: MessageJson, context: Context): Judgement {
    const { sender, timeMs } = context;
    if (action === 'updateOrganisation') {
      return new Reasons().unless(this.found(sender, 'organisation'), 2003).effect(() => undefined);
    }
    const { by, reasons: unfit } = this.#registrar(context);
    if (action === 'setStatus') {
      const did = String(message.participant);
      const status = message.status as Status;
      const party = this.parties.get(did);
      if (!party) return refusedFor(2001);
      const next: Record<Status, Status[]> = {
        active: ['suspended', 'ended', 'deceased'],
        suspended: ['active', 'ended', 'deceased'],
        deceased: ['active'],
        ended: [],
      };
      return new Reasons()
        .unless(party.registeredBy !== did && !party.isMember, 2039)
        .add(unfit)
        .unless(party.registeredBy === by, 2006)
        .unless(party.status !== status, 2021)
        .unless(party.status === status || next[party.status].includes(status), 2022)
        .unless(status !== 'deceased' || party.kind === 'patient', 2022)
        .effect(() => this.parties.set(did, { ...party, status }));
    }
    const person = this.found(String(message.practitioner), 'practitioner');
    if (action === 'setRoles') {
      if (!person) return refusedFor(2004);
      return new Reasons()
        .add(unfit)
        .unless(person.registeredBy === by, 2006)
        .effect(() => this.parties.set(person.did, { ...person, roles: message.roles as string[] }));
    }
    const licence = message as unknown as { profession: string; status: string; untilMs: number };
    const { profession, status, untilMs } = licence;
    return new Reasons()
      .unless(this.isRegulator(sender), 2007)
      .unless(person, 2004)
      .unless(status === 'suspended' || untilMs > timeMs, 2034)
      .effect(() => this.parties.set(person!.did, { ...person!, licence: { profession, status, untilMs } }));
  }
}
