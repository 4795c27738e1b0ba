import { access, governance } from '@salus/contracts';
import { type Did, type Message, randomId } from '@salus/protocol';
import { RuleFault } from '../http/problems.ts';
import type { NodeContext } from '../node/start-node.ts';
import type { AccessDesk } from './desk.ts';
import { AccessErrorCodes } from './errors.ts';
import type { GlassContent } from './late-glass.ts';
import { isOutage, outage, withLedger } from './outage.ts';

export interface GlassInput {
  custodian: Did;
  patient: Did;
  person: Did;
  reasonCode: string;
  reasonText: string;
}

export interface OpenGlass {
  id: string;
  windowUntilMs: number;
  alarm: boolean;
  late: boolean;
  transaction?: string;
}

function isOutput(value: unknown): value is { outcome: string; untilMs: number; alarm: boolean } {
  return typeof value === 'object' && value !== null && 'outcome' in value && 'untilMs' in value && 'alarm' in value;
}

interface Emergency {
  message: Message & { glass: string; practitioner: Did };
  content: GlassContent;
  windowMs: number;
}

/** Opens a window on the ledger; the reason is sealed to the custodian and the patient. */
export async function breakGlass(
  context: NodeContext,
  desk: AccessDesk,
  input: GlassInput,
  hosted: AccessDesk | undefined,
): Promise<OpenGlass> {
  const { custodian, patient, person, reasonCode, reasonText } = input;
  const id = randomId();
  const content: GlassContent = { format: 'salus-break-glass/1', id, reasonCode, reasonText };
  const reason = await desk.seal('access/breakGlass', id, content, [custodian, patient]);
  const windowMs = governance.parameter(context.reader, 'breakGlassWindowMsMax');
  const message = { type: 'access/breakGlass', glass: id, custodian, patient, practitioner: person, reason };
  try {
    const committed = await desk.records.organization.execute([{ ...message, windowMs }]);
    const [output] = committed.outputs;
    if (!isOutput(output) || output.outcome !== 'open') throw new RuleFault(AccessErrorCodes.emergencyLimit);
    const { untilMs: windowUntilMs, alarm } = output;
    return { id, windowUntilMs, alarm, late: false, transaction: committed.hash };
  } catch (error) {
    if (!isOutage(error)) throw error;
    if (hosted === undefined) throw outage();
    return await openHere(context, desk, hosted, { message, content, windowMs });
  }
}

/**
 * Where the ledger cannot commit, the custodian opens the window itself, if it is on this node: first what will be told
 * to the ledger later is kept, then the custodian's log has it, then the window opens.
 */
async function openHere(
  context: NodeContext,
  desk: AccessDesk,
  custodian: AccessDesk,
  { message, content, windowMs }: Emergency,
): Promise<OpenGlass> {
  const { glass: id, practitioner } = message;
  const profession = desk.lateGlasses.profession(practitioner);
  const { alarm } = await desk.lateGlasses.checkLimits(practitioner);
  const openedMs = context.nowMs();
  const windowUntilMs = openedMs + windowMs;
  const late = { glass: id, practitioner, organisation: desk.did, profession, openedMs, windowUntilMs };
  const told = { ...content, late };
  const patient = message.patient as Did;
  const reason = await desk.seal('access/breakGlass', id, told, [custodian.did, patient]);
  await desk.lateGlasses.add({ message: { ...message, reason }, openedMs, windowUntilMs });
  await custodian.openWithoutLedger(patient, told, late, alarm);
  return { id, windowUntilMs, alarm, late: true };
}

export interface OpenReview {
  id: string;
  patient: Did;
  practitioner: Did;
  reasonCode?: string;
  reasonText?: string;
  openedMs: number;
  dueMs: number;
  overdue: boolean;
}

/** Emergencies at this custodian that nobody has reviewed, the most urgent first. */
export async function openReviews(context: NodeContext, desk: AccessDesk): Promise<OpenReview[]> {
  const awaiting = access.awaitingReview(context.reader, desk.did);
  const contents = await desk.records.content.about(new Set(awaiting.map(({ patient }) => patient)));
  const nowMs = desk.facts.nowMs();
  return awaiting
    .map(({ glass, patient, practitioner, openedMs, reviewDueMs }) => {
      const content = contents.get(patient)?.get<GlassContent>('glass', glass);
      return {
        id: glass,
        patient,
        practitioner,
        ...(content && { reasonCode: content.reasonCode, reasonText: content.reasonText }),
        openedMs,
        dueMs: reviewDueMs,
        overdue: nowMs >= reviewDueMs,
      };
    })
    .sort((a, b) => a.dueMs - b.dueMs);
}

export interface ReviewInput {
  outcome: 'justified' | 'unjustified';
  note?: string;
  officer: Did;
}

/** Records what the officer found; who broke the glass cannot review it. */
export async function closeReview(
  context: NodeContext,
  desk: AccessDesk,
  id: string,
  { outcome, note = '', officer }: ReviewInput,
): Promise<{ transaction: string }> {
  const entry = access.glass(context.reader, id);
  if (entry?.custodian !== desk.did) throw new RuleFault(AccessErrorCodes.reviewUnknown);
  if (entry.practitioner === officer) throw new RuleFault(AccessErrorCodes.notAllowedForRole);
  const content = { format: 'salus-review/1', id, outcome, note, officer };
  const commitment = await desk.seal('access/review', id, content, [desk.did, entry.patient]);
  const committed = await withLedger(() =>
    desk.records.organization.execute([{ type: 'access/review', glass: id, outcome, commitment }]),
  );
  return { transaction: committed.hash };
}
