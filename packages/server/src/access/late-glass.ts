import { access, governance, type IterableReader, identity } from '@salus/contracts';
import type { Did, Message } from '@salus/protocol';
import type { Kysely } from 'kysely';
import { DurableCursor } from '../events/cursors.ts';
import { RuleFault } from '../http/problems.ts';
import type { Organization } from '../orgs/organization.ts';
import type { OrganizationTables } from '../store/tables.ts';
import { AccessErrorCodes } from './errors.ts';
import { isOutage } from './outage.ts';

const dayMs = 86_400_000;
const sendIntervalMs = 500;
const cursorName = 'late-emergencies';
/** The shortest window that the ledger takes: what was opened late is mostly over when it is recorded. */
const windowMsMin = 1_000;

/** An emergency that was opened while the ledger could not commit. */
export interface LateGlass {
  glass: string;
  practitioner: Did;
  organisation: Did;
  profession: string;
  openedMs: number;
  windowUntilMs: number;
}

/** Why somebody broke the glass, as custodian and patient read it. `late` where the ledger learnt of it afterwards. */
export interface GlassContent {
  format: 'salus-break-glass/1';
  id: string;
  reasonCode: string;
  reasonText: string;
  late?: LateGlass;
}

interface Waiting {
  message: Message & { glass: string; practitioner: Did };
  openedMs: number;
  windowUntilMs: number;
}

interface QueueParts {
  organization: Organization;
  reader: IterableReader;
  nowMs(): number;
  onError(error: unknown): void;
}

/**
 * Emergencies of one organisation's clinicians that wait for the ledger: kept durably, sent as soon as it commits again.
 * Until then the rules of the contract are applied here, by what the ledger said last.
 */
export class LateGlasses {
  readonly #parts: QueueParts;
  readonly #cursor: DurableCursor;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #isNew = false;
  #closed = false;

  constructor(parts: QueueParts) {
    this.#parts = parts;
    this.#cursor = new DurableCursor(parts.organization.store, cursorName);
  }

  async waiting(): Promise<Waiting[]> {
    return await waitingIn(this.#parts.organization.store.read);
  }

  /** The contract's rules for who may break the glass; gives the profession. */
  profession(person: Did): string {
    const { reader, organization, nowMs } = this.#parts;
    const entry = identity.practitioner(reader, person);
    const { practitionerNotLicensed, notYourPractitioner, roleNotAllowed } = access.accessErrors;
    if (!entry?.licence || !identity.isLicensed(reader, person, nowMs()))
      throw new RuleFault(practitionerNotLicensed.code);
    if (entry.registeredBy !== organization.profile.did) throw new RuleFault(notYourPractitioner.code);
    const { profession } = entry.licence;
    const isAllowed = governance
      .activePolicies(reader, nowMs())
      .some(({ document }) => document.breakGlassRoles.includes(profession));
    if (!isAllowed) throw new RuleFault(roleNotAllowed.code);
    return profession;
  }

  /** Whether this one is over a limit of the day; refuses it where governance says so. */
  async checkLimits(person: Did): Promise<{ alarm: boolean }> {
    const { reader, organization, nowMs } = this.#parts;
    const day = Math.floor(nowMs() / dayMs);
    const today = (await this.waiting()).filter(({ openedMs }) => Math.floor(openedMs / dayMs) === day);
    const count = (who: Did, here: number): number =>
      (reader.get<number>(access.glassDayKey(who, day)) ?? 0) + here + 1;
    const byPerson = count(person, today.filter(({ message }) => message.practitioner === person).length);
    const byAll = count(organization.profile.did, today.length);
    const alarm =
      byPerson > governance.parameter(reader, 'breakGlassPerPractitionerPerDayMax') ||
      byAll > governance.parameter(reader, 'breakGlassPerOrganisationPerDayMax');
    if (alarm && governance.parameter(reader, 'breakGlassOverLimitRefused') === 1) {
      throw new RuleFault(AccessErrorCodes.emergencyLimit);
    }
    return { alarm };
  }

  /** Durable when it resolves. */
  async add(entry: Waiting): Promise<void> {
    await this.#change((waiting) => [...waiting, entry]);
    this.#isNew = true;
    this.start();
  }

  async #change(change: (waiting: Waiting[]) => Waiting[]): Promise<void> {
    const { store } = this.#parts.organization;
    // Read inside: what another one adds or takes away meanwhile stays so.
    await store.commit(async (tx) => this.#cursor.write(tx, JSON.stringify(change(await waitingIn(tx)))));
  }

  /** Tries again and again while something waits. */
  start(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setInterval(() => {
      this.#sending ??= this.#send()
        .catch((error) => this.#parts.onError(error))
        .finally(() => {
          this.#sending = undefined;
        });
    }, sendIntervalMs);
    this.#timer.unref();
  }

  async #send(): Promise<void> {
    this.#isNew = false;
    for (const { message, windowUntilMs } of await this.waiting()) {
      const windowMs = Math.max(windowMsMin, windowUntilMs - this.#parts.nowMs());
      try {
        await this.#parts.organization.execute([{ ...message, windowMs }]);
      } catch (error) {
        if (isOutage(error)) return;
        // A rule refuses it by now. That it happened stands in the custodian's log, which is anchored in any case.
        this.#parts.onError(error);
      }
      await this.#change((waiting) => waiting.filter((other) => other.message.glass !== message.glass));
    }
    // What came after the list was read goes out with the next round.
    if (this.#isNew) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#sending;
  }
}

async function waitingIn(db: Kysely<OrganizationTables>): Promise<Waiting[]> {
  const row = await db.selectFrom('cursors').select('position').where('name', '=', cursorName).executeTakeFirst();
  return JSON.parse(row?.position ?? '[]');
}
