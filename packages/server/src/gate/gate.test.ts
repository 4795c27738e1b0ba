import type { KyselyPlugin } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { accessDesks } from '../access/access-part.ts';
import type { MemberRequester } from '../auth/requester.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';
import type { WriteTarget } from './gate.ts';
import { nobody } from './made.ts';
import type { Exit, Question } from './question.ts';

let node: RecordsNode;
let doctor: MemberRequester;
let clerk: MemberRequester;
let other: MemberRequester;

const records = () => node.records();
const desk = () => accessDesks(node.node).get('hospital')!;

async function member(role: 'doctor' | 'clerk', slug = 'hospital'): Promise<MemberRequester> {
  const { did } = await node.practitioner(role);
  const profile = node.records(slug).organization.profile;
  const subject = { kind: 'practitioner' as const, id: did };
  const life = { tokenId: 'test', expiresMs: Date.now() + 900_000, impersonated: false };
  return { kind: 'member', organization: profile, subject, roles: [role], purpose: 'TREAT', ...life };
}

function question(requester: MemberRequester, exit: Exit = 'read', action: 'read' | 'correct' = 'read'): Question {
  return { requester, purpose: 'TREAT', action, exit };
}

beforeAll(async () => {
  node = await startRecordsNode();
  const people = Array.from({ length: 6 }, (_, n) => [
    patientOf(`g-${n}`),
    observationOf(`g-o-${n}`, `g-${n}`),
    observationOf(`g-p-${n}`, `g-${n}`),
  ]).flat();
  const place = { resourceType: 'Location', id: 'ward', name: 'Ward' };
  expect((await node.import(bundleOf([...people, place]))).rejected).toBe(0);
  [doctor, clerk, other] = [await member('doctor'), await member('clerk'), await member('doctor', 'clinic')];
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => node.stop());

/** What the gate does at its ports while `work` runs: each call by name, and how much is logged in each. */
async function steps(work: () => Promise<unknown>): Promise<string[]> {
  const { facts, recorder } = desk();
  const { log } = records().vault;
  const seen: string[] = [];
  const watch = <T extends object>(on: T, names: (keyof T & string)[]): void => {
    for (const name of names) {
      const real = (on[name] as (...args: unknown[]) => unknown).bind(on);
      vi.spyOn(on, name as never).mockImplementation(((...args: unknown[]) => {
        const [first] = args;
        // The log writes in steps of 64 bytes, and a frame takes its own head.
        const size = name === 'append' ? ` ${Math.ceil((first as Uint8Array).length / 256)}` : '';
        seen.push(`${name}${size}`);
        return real(...args);
      }) as never);
    }
  };
  watch(facts, ['ready', 'about']);
  watch(log, ['append']);
  watch(recorder, ['wake', 'release']);
  await work();
  vi.restoreAllMocks();
  return seen;
}

async function drained(answer: Promise<AsyncGenerator<unknown>>): Promise<number> {
  let count = 0;
  for await (const _ of await answer) count += 1;
  return count;
}

describe('R-LED-5 asking for nothing takes the steps of being refused', () => {
  const ask = (requester: MemberRequester, exit: Exit, name: string) =>
    steps(async () => {
      const { gate, resources } = records();
      const found = await resources.find('Observation', name);
      const asked = { record: `Observation/${name}` };
      expect(await drained(gate.release(question(requester, exit), found ? [found] : [], asked))).toBe(0);
      expect(await gate.toldReason(question(requester), found ? [found] : [], asked)).toBeUndefined();
    });

  it.each(['read', 'history'] as const)('at a %s, in the house and from outside', async (exit) => {
    for (const requester of [clerk, other]) {
      const denied = await ask(requester, exit, 'g-o-1');
      expect(denied).toEqual(['ready', 'about', expect.stringMatching(/^append /), 'wake', 'about']);
      for (const name of ['ghost', 'ghost-2', 'g-o-77']) {
        expect(await ask(requester, exit, name), name).toEqual(denied);
      }
    }
  });

  it('at a search or $everything over all that somebody has', async () => {
    const { gate, resources } = records();
    const search = (patient: string) =>
      steps(async () => {
        const asked = { patient, type: 'Observation' };
        const found = await resources.ofPatient(patient, 'Observation');
        expect(await drained(gate.release(question(clerk, 'search'), found, asked))).toBe(0);
      });
    const denied = await search('g-2');
    expect(denied.filter((step) => step.startsWith('append'))).toHaveLength(1);
    for (const patient of ['ghost', 'ghost-2']) expect(await search(patient)).toEqual(denied);
  });

  it('and weighs as many entries as somebody has, the same at every time', async () => {
    const { resources } = records();
    const first = await resources.standIns({ patient: 'ghost', type: 'Observation' });
    expect(first).toHaveLength(2);
    expect(await resources.standIns({ patient: 'ghost', type: 'Observation' })).toEqual(first);
    // Who is next to a name depends on keys that are made anew each time: of few patients one can stand in for most names.
    const names = Array.from({ length: 200 }, (_, n) => `ghost-${n}`);
    const others = await Promise.all(names.map((patient) => resources.standIns({ patient })));
    expect(new Set(others.map(([one]) => one?.patient)).size).toBeGreaterThan(1);
    const single = await Promise.all(names.map((name) => resources.standIns({ record: `Observation/${name}` })));
    expect(new Set(single.map(([one]) => one?.id)).size).toBeGreaterThan(2);
  });

  it('writes the attempt down for the officer, and for no patient', async () => {
    const { gate } = records();
    const { index, recorder } = desk();
    await recorder.drain();
    const before = (await index.of(nobody)).length;
    await drained(gate.release(question(clerk), [], { record: 'Observation/ghost' }));
    await recorder.drain();
    const [entry, ...older] = await index.of(nobody);
    expect(older).toHaveLength(before);
    expect(entry).toMatchObject({ path: 'local', disclosure: { outcome: 'denied', records: [], patient: nobody } });
  });
});

describe('R-LED-7 a decision about many', () => {
  it('reads the store as often as one about a single patient', async () => {
    const { content, gate, organization, resources } = records();
    const { store } = organization;
    const { read } = store;
    const names = Array.from({ length: 6 }, (_, n) => `g-${n}`);
    const reads = async (patients: readonly string[]): Promise<number> => {
      const entries = (await Promise.all(patients.map((patient) => resources.ofPatient(patient)))).flat();
      // Nothing is known from before.
      for (const patient of names) await content.put('request', `cold-${patient}`, node.didOf(patient), {});
      let count = 0;
      const transformQuery: KyselyPlugin['transformQuery'] = ({ node: query }) => {
        count += 1;
        return query;
      };
      Reflect.set(store, 'read', read.withPlugin({ transformQuery, transformResult: async ({ result }) => result }));
      const { permitted } = await gate.decide(question(doctor), entries);
      Reflect.set(store, 'read', read);
      expect(permitted).toHaveLength(3 * patients.length);
      return count;
    };
    const one = await reads(names.slice(0, 1));
    expect(one).toBeLessThanOrEqual(2);
    expect(await reads(names)).toBe(one);
  });
});

describe('R-CON-1 R-CON-3 who may write is decided and recorded', () => {
  const target = (part: Partial<WriteTarget>): WriteTarget => ({
    ...{ patient: 'g-1', isNewcomer: false, isUpdate: false, current: undefined, name: 'Observation/new' },
    ...{ categories: ['laboratory'], labels: [] },
    ...part,
  });
  const admit = (requester: MemberRequester, part: Partial<WriteTarget> = {}) =>
    records().gate.admit(question(requester, 'write', 'correct'), target(part));
  const refusal = expect.objectContaining({ code: 791 });

  it('by role, organisation and patient, with one answer for unknown and forbidden', async () => {
    await expect(admit(doctor)).resolves.toEqual({ record: expect.stringMatching(/^[\w-]{22}$/) });
    await expect(admit(doctor, { patient: 'ghost' })).rejects.toEqual(refusal);
    await expect(admit(clerk)).rejects.toEqual(refusal);
    await expect(admit(clerk, { patient: 'ghost' })).rejects.toEqual(refusal);
    await expect(admit(other)).rejects.toEqual(refusal);
    await expect(admit(doctor, { labels: ['PSYTHPN'] })).resolves.toBeDefined();
  });

  it('takes the same steps for unknown and forbidden', async () => {
    const writing = (part: Partial<WriteTarget>) => steps(() => admit(clerk, part).catch(() => undefined));
    const forbidden = await writing({});
    const isLogged = forbidden.filter((step) => !step.startsWith('about'));
    expect(isLogged).toEqual(['ready', expect.stringMatching(/^append /), 'wake']);
    expect((await writing({ patient: 'ghost' })).filter((step) => !step.startsWith('about'))).toEqual(isLogged);
  });

  it('keeps a resource with its patient, and changes only what is here', async () => {
    const current = await records().resources.find('Observation', 'g-o-1');
    const change = { isUpdate: true, name: 'Observation/g-o-1' };
    await expect(admit(doctor, { ...change, current })).resolves.toEqual({ record: current?.record });
    await expect(admit(doctor, { ...change, current, patient: 'g-2' })).rejects.toEqual(refusal);
    await expect(admit(doctor, { ...change, current: undefined })).rejects.toEqual(refusal);
  });

  it('lets clinicians register patients, and those who keep the directory change it', async () => {
    const newcomer = { isNewcomer: true, patient: 'g-new', categories: ['demographics'] };
    await expect(admit(doctor, newcomer)).resolves.toBeDefined();
    await expect(admit(clerk, newcomer)).rejects.toEqual(refusal);
    const place = { patient: undefined, categories: [], name: 'Location/ward' };
    const ward = await records().resources.find('Location', 'ward');
    await expect(admit(doctor, { ...place, current: ward, isUpdate: true })).rejects.toEqual(refusal);
    const keeper: MemberRequester = {
      ...doctor,
      subject: { kind: 'practitioner', id: 'keeper' },
      roles: ['administrator'],
    };
    await expect(admit(keeper, { ...place, current: ward, isUpdate: true })).resolves.toBeDefined();
  });

  it('writes it into the accounting, by whom and about which record', async () => {
    const { index, recorder } = desk();
    const { record } = await admit(doctor, { patient: 'g-3' });
    await admit(clerk, { patient: 'g-3' }).catch(() => undefined);
    await recorder.drain();
    const [refused, written] = await index.of(node.didOf('g-3'));
    expect(written).toMatchObject({
      path: 'batch',
      disclosure: { outcome: 'written', exit: 'write', action: 'correct' },
    });
    expect(written?.disclosure.records).toEqual([[record, 1]]);
    expect(written?.disclosure.requester.person).toBe(doctor.subject.kind === 'practitioner' ? doctor.subject.id : '');
    expect(refused).toMatchObject({ path: 'local', disclosure: { outcome: 'denied', records: [] } });
  });
});
