import { type Context, type Journal, type Judgement, type MessageJson, Reasons, refusedFor, Table } from './core.ts';
import type { GovernanceModel } from './governance.ts';
import type { IdentityModel } from './identity.ts';

export type Policy = { kind: string; approvers: string[]; needed: number };
export type RecordRow = {
  custodian: string;
  patient: string;
  status: 'active' | 'restricted' | 'erased';
  latest: number;
  current: number;
  open?: number | undefined;
  policy?: Policy;
};
export type VersionRow = { status: string; accepted: string[]; rejected: string[]; statements: number };

const statementsMax = 64;

export class RecordsModel {
  readonly records: Table<RecordRow>;
  readonly versions: Table<VersionRow>;
  readonly annotations: Table<number>;
  readonly #identity: IdentityModel;
  readonly #governance: GovernanceModel;

  constructor(journal: Journal, identity: IdentityModel, governance: GovernanceModel) {
    this.records = new Table(journal);
    this.versions = new Table(journal);
    this.annotations = new Table(journal);
    this.#identity = identity;
    this.#governance = governance;
  }

  formReasons(message: MessageJson): number[] {
    const { type, entries, records, policy } = message;
    const isTwice = (list: unknown[]): boolean => new Set(list).size < list.length;
    if (type === 'records/anchor')
      return isTwice((entries as { record: string }[]).map(({ record }) => record)) ? [4019] : [];
    if (type === 'records/erase') return isTwice(records as string[]) ? [4019] : [];
    if (type !== 'records/setPolicy') return [];
    const { kind, approvers, needed } = policy as Policy;
    const { length } = approvers;
    const fits =
      kind === 'authorAndPatient'
        ? length === 2 && needed === 2
        : kind === 'reviewers'
          ? needed <= length
          : needed === Math.floor(length / 2) + 1;
    return fits && !isTwice(approvers) ? [] : [4008];
  }

  version(record: string, number: number): VersionRow | undefined {
    return this.versions.get(`${record} ${number}`);
  }

  #put(record: string, number: number, row: VersionRow): void {
    this.versions.set(`${record} ${number}`, row);
  }

  #actsFor(patient: string, authority: string | undefined, { sender, signers, timeMs }: Context): boolean {
    if (signers.includes(patient)) return this.#identity.isActive(patient);
    return authority !== undefined && this.#identity.mayActFor(sender, patient, authority, timeMs);
  }

  judge(message: MessageJson, context: Context): Judgement {
    switch (message.type) {
      case 'records/anchor':
        return this.#judgeAnchor(message, context);
      case 'records/erase':
        return this.#judgeErasure(message, context);
      default: {
        const record = String(message.record);
        const row = this.records.get(record);
        if (!row) return this.#judgeMissing(message, context);
        if (row.status === 'erased') {
          const isCustodians = message.type === 'records/setPolicy' || message.type === 'records/restrict';
          const isOrganisation = this.#identity.isActiveOrganisation(context.sender);
          return refusedFor(4007, ...(isCustodians && !isOrganisation ? [4001] : []));
        }
        return this.#judgeLive(message, record, row, context);
      }
    }
  }

  #judgeMissing({ type }: MessageJson, { sender }: Context): Judgement {
    const isCustodians = type === 'records/setPolicy' || type === 'records/restrict';
    return refusedFor(4003, ...(isCustodians && !this.#identity.isActiveOrganisation(sender) ? [4001] : []));
  }

  #ownReasons(row: RecordRow, sender: string): number[] {
    return new Reasons()
      .unless(this.#identity.isActiveOrganisation(sender), 4001)
      .unless(row.custodian === sender, 4004).codes;
  }

  #judgeAnchor(message: MessageJson, { sender }: Context): Judgement {
    const entries = message.entries as { record: string; version: number; patient: string }[];
    const reasons = new Reasons()
      .unless(this.#identity.isActiveOrganisation(sender), 4001)
      .unless(entries.length <= this.#governance.parameter('batchEntriesMax'), 4021);
    for (const { record, version, patient } of entries) {
      const row = this.records.get(record);
      reasons
        .unless((row?.latest ?? 0) + 1 === version, 4005)
        .unless(this.#identity.custodianOf(patient) === sender, 4002)
        .unless(!row || row.custodian === sender, 4004)
        .unless(row?.status !== 'erased', 4007)
        .unless(!row || row.status === 'erased' || row.patient === patient, 4006)
        .unless(!row?.policy, 4009);
    }
    return reasons.effect(() => {
      for (const { record, version, patient } of entries) {
        const none: RecordRow = { custodian: sender, patient, status: 'active', latest: 0, current: 0 };
        const row = this.records.get(record) ?? none;
        this.#makeCurrent(record, row.current, version, {
          status: 'current',
          accepted: [],
          rejected: [],
          statements: 0,
        });
        this.records.set(record, { ...row, latest: version, current: version });
      }
    });
  }

  #makeCurrent(record: string, before: number, version: number, row: VersionRow): void {
    const old = before > 0 ? this.version(record, before) : undefined;
    if (old) this.#put(record, before, { ...old, status: 'superseded' });
    this.#put(record, version, { ...row, status: 'current' });
  }

  #judgeErasure(message: MessageJson, { sender }: Context): Judgement {
    const ids = message.records as string[];
    const reasons = new Reasons().unless(this.#identity.isActiveOrganisation(sender), 4001);
    for (const id of ids) {
      const row = this.records.get(id);
      if (!row) reasons.add([4003]);
      else reasons.unless(row.status !== 'erased', 4007).unless(row.custodian === sender, 4004);
    }
    return reasons.effect(() => {
      for (const id of ids) {
        const row = this.records.get(id)!;
        for (let number = 1; number <= row.latest; number += 1) this.versions.delete(`${id} ${number}`);
        this.records.set(id, { ...row, status: 'erased' });
      }
    });
  }

  #judgeLive(message: MessageJson, record: string, row: RecordRow, context: Context): Judgement {
    const { sender, signers } = context;
    const { authority } = message as unknown as { authority?: string };
    switch (message.type) {
      case 'records/setPolicy': {
        const policy = message.policy as Policy;
        const signed = row.policy?.approvers.filter((did) => signers.includes(did)).length ?? 0;
        return new Reasons()
          .add(this.#ownReasons(row, sender))
          .unless(row.open === undefined, 4016)
          .unless(policy.approvers.length <= this.#governance.parameter('reviewersMax'), 4008)
          .unless(!row.policy || signed >= row.policy.needed, 4020)
          .effect(() => this.records.set(record, { ...row, policy }));
      }
      case 'records/restrict': {
        const status = message.restricted ? 'restricted' : 'active';
        return new Reasons()
          .add(this.#ownReasons(row, sender))
          .unless(row.status !== status, 4018)
          .effect(() => this.records.set(record, { ...row, status }));
      }
      case 'records/annotate':
        return new Reasons()
          .unless(this.#actsFor(row.patient, authority, context), 4017)
          .effect(() => this.annotations.set(record, (this.annotations.get(record) ?? 0) + 1));
      case 'records/propose':
        return this.#judgeProposal(message, record, row, context);
      case 'records/dispute':
        return this.#judgeDispute(message, record, row, context);
      default:
        return this.#judgeVote(message, record, row, context);
    }
  }

  #judgeProposal(message: MessageJson, record: string, row: RecordRow, context: Context): Judgement {
    const { sender } = context;
    const { policy } = row;
    const version = Number(message.version);
    if (!policy) return refusedFor(4010);
    const isStaff = this.#identity.found(sender, 'practitioner')?.registeredBy === row.custodian;
    const isNamed = sender === row.custodian || isStaff || policy.approvers.includes(sender);
    const mayPropose =
      this.#identity.isActive(sender) &&
      (isNamed || this.#actsFor(row.patient, message.authority as string | undefined, context));
    const accepted = policy.approvers.includes(sender) ? [sender] : [];
    return new Reasons()
      .unless(mayPropose, 4011)
      .unless(row.open === undefined, 4016)
      .unless(row.latest + 1 === version, 4005)
      .effect(() => {
        const proposed = { status: 'proposed', accepted, rejected: [], statements: 0 };
        if (accepted.length >= policy.needed) {
          this.#makeCurrent(record, row.current, version, proposed);
          this.records.set(record, { ...row, latest: version, current: version });
        } else {
          this.#put(record, version, proposed);
          this.records.set(record, { ...row, latest: version, open: version });
        }
      });
  }

  #judgeDispute(message: MessageJson, record: string, row: RecordRow, context: Context): Judgement {
    const number = Number(message.version);
    const version = this.version(record, number);
    if (!version) return refusedFor(4012);
    const isCustodian = context.sender === row.custodian && this.#identity.isActive(row.custodian);
    const acts = this.#actsFor(row.patient, message.authority as string | undefined, context);
    return new Reasons()
      .unless(isCustodian || acts, 4017)
      .unless(version.statements < statementsMax, 4015)
      .effect(() => this.#put(record, number, { ...version, statements: version.statements + 1 }));
  }

  #judgeVote(message: MessageJson, record: string, row: RecordRow, { sender, timeMs }: Context): Judgement {
    const number = Number(message.version);
    const version = this.version(record, number);
    if (!version) return refusedFor(4012);
    if (version.status !== 'proposed') return refusedFor(4013);
    const policy = row.policy!;
    const authority = message.authority as string | undefined;
    let voter: string | undefined;
    if (policy.approvers.includes(sender)) voter = this.#identity.isActive(sender) ? sender : undefined;
    else if (authority !== undefined && policy.approvers.includes(row.patient)) {
      voter = this.#identity.mayActFor(sender, row.patient, authority, timeMs) ? row.patient : undefined;
    }
    if (voter === undefined) return refusedFor(4014);
    const voice = voter;
    const reasons = new Reasons().unless(![...version.accepted, ...version.rejected].includes(voice), 4015);
    const { open: _open, ...closed } = row;
    if (message.type === 'records/validate') {
      const accepted = [...version.accepted, voice];
      return reasons.effect(() => {
        if (accepted.length < policy.needed) this.#put(record, number, { ...version, accepted });
        else {
          this.#makeCurrent(record, row.current, number, { ...version, accepted });
          this.records.set(record, { ...closed, current: number });
        }
      });
    }
    const rejected = [...version.rejected, voice];
    const isLost = policy.approvers.length - rejected.length < policy.needed;
    return reasons.effect(() => {
      const status = isLost ? 'rejected' : 'proposed';
      this.#put(record, number, { ...version, rejected, status, statements: version.statements + 1 });
      if (isLost) this.records.set(record, closed);
    });
  }
}
