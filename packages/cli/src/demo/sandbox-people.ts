import { setImmediate as nextTurn } from 'node:timers/promises';
import { identity } from '@salus/contracts';
import { utf8 } from '@salus/protocol';
import { DurableCursor, type OrganizationRecords, type RunningNode, recordsOf, registerStaff } from '@salus/server';
import { generatePatients, type SplitEntry, sandboxDirectory, splitByServiceProvider } from '@salus/standards';

/** Whoever tries the sandbox speaks for these: `salus token --as practitioner:doctor-1`. */
const staff = ['doctor', 'nurse', 'clerk', 'officer'] as const;
const licensed: readonly string[] = ['doctor', 'nurse'];
const licenceLifeMs = 5 * 365 * 24 * 3_600_000;
const employers = ['hospital', 'clinic'] as const;
const seed = 'salus-demo';
/** The generator's clinic; everything else of a record lies at the hospital. */
const clinicReference = /\|birchwater$/;

export const demoPatientsDefault = 20;

/** Puts people who work there onto the ledger, doctors and nurses with a licence. Repeating it changes nothing. */
async function employ(node: RunningNode, slug: string): Promise<void> {
  const organization = node.organizations.get(slug);
  const regulator = node.organizations.get('regulator');
  if (organization === undefined) return;
  for (const role of staff) {
    const { did } = await registerStaff(node, organization, `${role}-1`, [role]);
    if (!licensed.includes(role) || identity.isLicensed(node.reader, did, node.nowMs())) continue;
    const untilMs = node.nowMs() + licenceLifeMs;
    const licence = { type: 'identity/setLicence', practitioner: did, profession: role, status: 'active', untilMs };
    await regulator?.execute([licence]);
  }
}

function bundle(entries: readonly SplitEntry[]): Uint8Array {
  const entry = entries.map(({ fullUrl, resource }) => ({
    ...(fullUrl !== undefined && { fullUrl }),
    resource,
    request: { method: 'POST', url: resource.resourceType },
  }));
  return utf8(JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }));
}

async function store(records: OrganizationRecords, bytes: Uint8Array): Promise<void> {
  await records.import(
    async function* () {
      yield bytes;
    },
    { drain: false },
  );
  await nextTurn();
}

/** What each organisation keeps of every patient, in the order in which it is stored. */
function* shares(count: number): Generator<[slug: string, bytes: Uint8Array]> {
  const directory = utf8(JSON.stringify(sandboxDirectory()));
  for (const slug of employers) yield [slug, directory];
  for (const patient of generatePatients({ seed, count })) {
    const { parts } = splitByServiceProvider(patient.bundle.entry as SplitEntry[], {
      custodianOf: ({ reference = '' }) => (clinicReference.test(reference) ? 'clinic' : 'hospital'),
      mainCustodian: 'hospital',
      nameVariantAt: 'clinic',
    });
    for (const { custodian, entries } of parts) yield [custodian, bundle(entries)];
  }
}

/**
 * Gives a sandbox its staff and patients with rich histories, split over hospital and clinic. It goes on where it was
 * stopped, and does nothing where everything is there.
 */
export async function fillSandbox(node: RunningNode, patients: number, signal: AbortSignal): Promise<void> {
  for (const slug of employers) await employ(node, slug);
  const records = recordsOf(node);
  const keeper = records.get('hospital');
  if (keeper === undefined || patients === 0) return;
  const cursor = new DurableCursor(keeper.organization.store, 'sandbox-people');
  const done = Number((await cursor.read()) ?? 0);
  let position = 0;
  for (const [slug, bytes] of shares(patients)) {
    if (signal.aborted) return;
    position += 1;
    const target = records.get(slug);
    if (position <= done || target === undefined) continue;
    await store(target, bytes);
    await keeper.organization.store.commit((tx) => cursor.write(tx, String(position)));
  }
  for (const slug of employers) await records.get(slug)?.anchorer.drain();
}
