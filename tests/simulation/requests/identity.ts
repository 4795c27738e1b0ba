import type { Wish } from '../clients.ts';
import type { MessageJson } from '../model/core.ts';
import { monthMs } from '../model/core.ts';
import { keyJson } from '../people.ts';
import { Requests } from './base.ts';

const practitionerRoles = ['doctor', 'nurse', 'clerk', 'officer', 'pharmacist'];
const caseKinds = ['duplicateIdentity', 'suspectedTheft', 'other'];
const freshNames = ['sign', 'sign-2', 'sign-3', 'sign-4', 'spare', 'encrypt', 'old'];

/** Who takes part, with which keys, and who may act for whom. */
export class IdentityRequests extends Requests {
  /** Somebody new, so that there is somebody to write about. */
  registration(): Wish {
    return this.random.weighted([
      [5, () => this.#patient()],
      [3, () => this.#practitioner()],
      [1, () => this.#other('Delegate')],
      [1, () => this.#other('Device')],
    ])();
  }

  any(nowMs: number): Wish {
    return this.random.weighted<() => Wish>([
      [3, () => this.registration()],
      [1, () => this.#organisation()],
      [1, () => this.#bind()],
      [1, () => this.#plain('updateOrganisation', { endpoint: 'https://moved.test' }, this.organisation())],
      [1, () => this.#ofStaff('setRoles')],
      [2, () => this.#licence(nowMs)],
      [2, () => this.#status()],
      [1, () => this.#patients('mergePatients')],
      [1, () => this.#patients('unmergePatients')],
      [4, () => this.#key(nowMs)],
      [3, () => this.#authority(nowMs)],
      [2, () => this.#case()],
      [1, () => this.#unknown()],
      [1, () => this.#stamp()],
    ])();
  }

  /** One thing wrong: another signer, one too few, another participant, or a member that nobody knows. */
  spoil(wish: Wish): Wish {
    const [first] = wish.messages;
    const message: MessageJson = { ...first! };
    switch (this.random.between(0, 4)) {
      case 0:
        return { ...wish, signers: [this.signer(this.anybody())] };
      case 1:
        return wish.signers.length > 1 ? { ...wish, signers: wish.signers.slice(0, -1) } : wish;
      case 2: {
        const dids = Object.keys(message).filter(
          (name) => typeof message[name] === 'string' && `${message[name]}`.startsWith('did:salus:'),
        );
        if (dids.length === 0) return wish;
        message[this.random.pick(dids)] = this.anybody();
        return { ...wish, messages: [message, ...wish.messages.slice(1)] };
      }
      case 3: {
        // The same twice, where a list may name each once.
        const lists = ['roles', 'patients', 'keys', 'entries', 'records', 'directives', 'tokens'];
        const name = lists.find((one) => Array.isArray(message[one]));
        if (name === undefined) return wish;
        const list = message[name] as unknown[];
        message[name] = [...list, list[0]];
        return { ...wish, messages: [message, ...wish.messages.slice(1)] };
      }
      default:
        if (!this.random.chance(0.3)) return wish;
        return { ...wish, messages: [{ ...message, unknownMember: 1 }] };
    }
  }

  #plain(name: string, members: object, ...signers: string[]): Wish {
    return this.wish({ type: `identity/${name}`, ...members }, ...signers);
  }

  #stamp(): Wish {
    const digest = Buffer.alloc(32, this.random.between(0, 3)).toString('base64url');
    return this.wish({ type: 'kernel/stamp', digest }, this.anybody());
  }

  #unknown(): Wish {
    const type = this.random.pick(['identity/unknown', 'access/openTelehealth']);
    return this.wish({ type }, this.organisation());
  }

  #newKeys() {
    const key = this.keys.fresh();
    const expiresMs = this.random.chance(0.15)
      ? Math.floor(this.model.timeMs + this.random.between(2_000, 60_000))
      : undefined;
    const signing = { ...keyJson(key), ...(expiresMs !== undefined && { expiresMs }) };
    const keys = [signing, keyJson(this.keys.encryption(this.random), 'encrypt', 'encrypt')];
    return { key, keys };
  }

  #patient(): Wish {
    const by = this.custodian();
    if (this.random.chance(0.3)) {
      const did = `did:salus:${this.random.base64url(20)}`;
      return this.#plain('registerPatient', { did }, by);
    }
    const { key, keys } = this.#newKeys();
    return this.wish({ type: 'identity/registerPatient', did: key.did, keys }, by, this.carried(key.did, key));
  }

  #bind(): Wish {
    const unbound = this.parties('patient', ({ isBound }) => !isBound);
    const { key, keys } = this.#newKeys();
    const patient = unbound.length > 0 ? this.random.pick(unbound) : this.random.pick(this.parties('patient'));
    const message = { type: 'identity/bindPatient', patient: patient.did, keys };
    return this.wish(message, patient.registeredBy, this.carried(patient.did, key));
  }

  #practitioner(): Wish {
    const by = this.custodian();
    const { key, keys } = this.#newKeys();
    const roles = this.random.shuffled(practitionerRoles).slice(0, this.random.between(1, 3));
    const message = { type: 'identity/registerPractitioner', did: key.did, roles };
    return this.random.chance(0.85) ? this.wish({ ...message, keys }, by) : this.wish(message, by);
  }

  #other(kind: 'Delegate' | 'Device'): Wish {
    const { key, keys } = this.#newKeys();
    const model = kind === 'Device' ? { model: 'T-1' } : {};
    const message = { type: `identity/register${kind}`, did: key.did, ...model, keys };
    return this.wish(message, this.custodian(), this.carried(key.did, key));
  }

  #organisation(): Wish {
    const { key, keys } = this.#newKeys();
    const slug = `organisation-${this.random.between(0, 9)}`;
    const members = { did: key.did, name: slug, slug, role: this.random.pick(['clinic', 'payer']), endpoint: '', keys };
    const message = { type: 'identity/registerOrganisation', ...members };
    return this.wish(message, this.regulator(), this.carried(key.did, key));
  }

  #staff(): string {
    const staff = this.parties('practitioner');
    return staff.length > 0 ? this.random.pick(staff).did : this.anybody();
  }

  #ofStaff(name: string): Wish {
    const practitioner = this.#staff();
    const roles = this.random.shuffled(practitionerRoles).slice(0, 2);
    return this.#plain(name, { practitioner, roles }, this.party(practitioner).registeredBy);
  }

  #licence(nowMs: number): Wish {
    const practitioner = this.#staff();
    const { roles } = this.party(practitioner);
    const profession = this.random.pick(roles ?? ['doctor']);
    const status = this.random.chance(0.9) ? 'active' : 'suspended';
    const untilMs = Math.floor(nowMs + this.random.pick([-1_000, 4_000, 30_000, monthMs, monthMs, monthMs]));
    return this.#plain('setLicence', { practitioner, profession, status, untilMs }, this.regulator());
  }

  #status(): Wish {
    const idle = this.model.identity.parties
      .entries()
      .filter(([, { status }]) => status === 'suspended' || status === 'deceased');
    const isBack = idle.length > 0 && this.random.chance(0.8);
    const participant = isBack ? this.random.pick(idle)[0] : this.anybody();
    const status = isBack
      ? 'active'
      : this.random.pick(['suspended', 'suspended', 'suspended', 'deceased', 'active', 'ended']);
    return this.#plain('setStatus', { participant, status }, this.party(participant).registeredBy);
  }

  #patients(name: string): Wish {
    const merged = this.parties('patient', ({ mergedInto }) => mergedInto !== undefined);
    const one =
      name === 'unmergePatients' && merged.length > 0
        ? this.random.pick(merged)
        : this.random.pick(this.parties('patient'));
    const others = this.parties('patient', ({ registeredBy }) => registeredBy === one.registeredBy);
    const survivor = name === 'unmergePatients' && one.mergedInto ? one.mergedInto : this.random.pick(others).did;
    return this.#plain(name, { survivor, merged: one.did }, one.registeredBy);
  }

  #key(nowMs: number): Wish {
    const participant = this.anybody();
    const { kind, registeredBy } = this.party(participant);
    const isManaged = kind === 'practitioner' || kind === 'device';
    const by = isManaged && this.random.chance(0.5) ? registeredBy : participant;
    const rows = this.model.identity.keysOf(participant);
    const name = rows.length > 0 ? this.random.pick(rows).name : 'sign';
    const purpose = this.random.chance(0.85) ? 'sign' : 'recover';
    const isUsed = this.random.chance(0.1);
    const expiresMs = this.random.chance(0.4)
      ? Math.floor(nowMs + this.random.pick([-500, 1_500, 5_000, 20_000]))
      : undefined;
    const key = {
      ...keyJson(isUsed ? this.keys.some(this.random) : this.keys.fresh(), this.#freshName(participant), purpose),
      ...(expiresMs !== undefined && { expiresMs }),
    };
    const oldUntilMs = Math.floor(nowMs + this.random.pick([-1_000, 2_000, 20_000, 2 * monthMs]));
    return this.random.weighted<() => Wish>([
      [3, () => this.#plain('addKey', { participant, key }, by)],
      [1, () => this.#plain('rotateKey', { participant, name, key }, by)],
      [2, () => this.#plain('rotateKey', { participant, name, key, oldUntilMs }, by)],
      [1, () => this.#plain('revokeKey', { participant, name, reason: 'lost' }, by)],
    ])();
  }

  #freshName(participant: string): string {
    const free = freshNames.filter((name) => !this.model.identity.key(participant, name));
    return free.length > 0 && !this.random.chance(0.1) ? this.random.pick(free) : `key-${this.random.between(0, 99)}`;
  }

  #authority(nowMs: number): Wish {
    const known = this.model.identity.authorities.keys();
    if (known.length > 0 && this.random.chance(0.3)) {
      const row = this.random.pick(known);
      const [patient = '', authority = ''] = row.split(' ');
      const { by, holder } = this.model.identity.authorities.get(row)!;
      const ender = this.random.pick([by, this.model.identity.parties.has(holder) ? holder : by, this.regulator()]);
      return this.#plain('revokeAuthority', { patient, authority }, ender);
    }
    const patient = this.random.pick(this.parties('patient'));
    const people = [...this.parties('delegate'), ...this.parties('practitioner')];
    const holder = people.length > 0 && !this.random.chance(0.1) ? this.random.pick(people).did : this.id();
    const expiresMs =
      (Math.floor(nowMs / monthMs) + this.random.pick([0, 1, 1, 2, 12])) * monthMs + (this.random.chance(0.05) ? 1 : 0);
    const members = { patient: patient.did, authority: this.id(), holder, commitment: this.digest(), expiresMs };
    if (this.random.chance(0.5)) return this.#plain('grantAuthority', members, patient.did);
    return this.#plain('attestAuthority', members, this.random.pick([patient.registeredBy, this.regulator()]));
  }

  #case(): Wish {
    const patient = this.random.pick(this.parties('patient'));
    const { did, registeredBy } = patient;
    const tag = Buffer.alloc(16, this.random.between(0, 4)).toString('base64url');
    const others = this.parties('patient', (other) => other.registeredBy === registeredBy).map((other) => other.did);
    const patients = [did, this.random.pick(others)].slice(0, this.random.between(1, 2));
    const count = this.model.identity.cases.get(registeredBy)?.length ?? 0;
    const isOpen = this.model.identity.cases.get(registeredBy) ?? [];
    const last = isOpen.lastIndexOf(true);
    const number = last >= 0 && !this.random.chance(0.2) ? last : this.random.between(0, Math.max(0, count));
    return this.random.weighted<() => Wish>([
      [2, () => this.#plain('bindIdentifier', { patient: did, tag }, registeredBy)],
      [
        2,
        () =>
          this.#plain(
            'openCase',
            { kind: this.random.pick(caseKinds), patients },
            this.random.pick([registeredBy, did]),
          ),
      ],
      [1, () => this.#plain('closeCase', { number, outcome: 'resolved' }, registeredBy)],
    ])();
  }
}
