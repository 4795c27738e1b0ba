import { createReadStream, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StandardsErrorCodes } from '../errors.ts';
import { entryDepthMax } from './entry-scanner.ts';
import {
  type EndEvent,
  type EntryEvent,
  type FaultEvent,
  type ReaderOptions,
  readFhir,
  readResource,
} from './reader.ts';
import { exampleFiles, syntheaFiles, unzipped } from './test-data.ts';
import type { JsonValue } from './types.ts';

const codes = StandardsErrorCodes;

async function* chunks(data: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function readAll(data: string | Uint8Array, size?: number, options?: ReaderOptions) {
  const entries: EntryEvent[] = [];
  const faults: FaultEvent[] = [];
  let end: EndEvent | undefined;
  for await (const event of readFhir(chunks(data, size), options)) {
    if (event.kind === 'entry') entries.push(event);
    else if (event.kind === 'fault') faults.push(event);
    else end = event;
  }
  return { entries, faults, end: end as EndEvent };
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');
const patient = '{"resourceType":"Patient","id":"a"}';
const bundle = (...entries: string[]) => `{"resourceType":"Bundle","type":"batch","entry":[${entries.join(',')}]}`;

describe('R-REC-4 the reader takes FHIR JSON apart and keeps the bytes of every entry', () => {
  it('gives the exact bytes of entry and resource, numbers and spacing included', async () => {
    const resource = '{ "resourceType" : "Observation", "valueQuantity":{"value":1.10} ,"note":"é\\u00e9 \\"}]" }';
    const entry = `{"fullUrl":"urn:uuid:1", "resource": ${resource} ,"request":{"method":"POST","url":"Observation"}}`;
    for (const size of [1, 2, 3, 1000]) {
      const { entries, faults, end } = await readAll(bundle(entry, `{"resource":${patient}}`), size);
      expect(faults).toEqual([]);
      expect(entries.map(({ index }) => index)).toEqual([0, 1]);
      expect(text(entries[0]!.bytes)).toBe(entry);
      expect(text(entries[0]!.resourceBytes)).toBe(resource);
      expect(entries[0]!.fullUrl).toBe('urn:uuid:1');
      expect(entries[0]!.request).toEqual({ method: 'POST', url: 'Observation' });
      expect(end).toMatchObject({ complete: true, entries: 2, format: 'bundle', bundle: { type: 'batch' } });
    }
  });

  it.each(['transaction', 'batch', 'collection', 'searchset', 'document', 'history'])(
    'reads a Bundle of type %s',
    async (type) => {
      const data = `{"entry":[{"resource":${patient}}],"total":1,"type":"${type}","resourceType":"Bundle","link":[]}`;
      const { entries, end } = await readAll(data);
      expect(entries).toHaveLength(1);
      expect(end.bundle).toEqual({ type, total: 1, resourceType: 'Bundle', link: [] });
    },
  );

  it('reads one resource, also a List, which has a member called entry too', async () => {
    const list = '{"resourceType":"List","entry":[{"item":{"reference":"Patient/a"}}]}';
    for (const data of [patient, list, `\n ${list}\n`]) {
      const { entries, faults, end } = await readAll(data);
      expect(faults).toEqual([]);
      expect(text(entries[0]!.bytes)).toBe(data.trim());
      expect(end.format).toBe('resource');
    }
  });

  it('reads NDJSON, with Bundles among the lines, and goes on after a broken line', async () => {
    const data = [
      patient,
      '',
      '{"resourceType":"Patient",',
      bundle(`{"resource":${patient}}`),
      `${patient} x`,
      patient,
    ].join('\r\n');
    const { entries, faults, end } = await readAll(data, 11);
    expect(entries.map(({ index }) => index)).toEqual([0, 2, 3, 5]);
    expect(faults.map(({ index, code, fatal }) => [index, code, fatal])).toEqual([
      [1, codes.entrySyntax, false],
      [4, codes.entrySyntax, false],
    ]);
    expect(end).toMatchObject({ complete: true, entries: 6, format: 'ndjson' });
  });

  it('survives a broken first line where the format is given', async () => {
    const { entries, faults } = await readAll(`{"resourceType"\n${patient}\n`, 5, { format: 'ndjson' });
    expect(entries).toHaveLength(1);
    expect(faults.map(({ code }) => code)).toEqual([codes.entrySyntax]);
  });

  it('reads gzip, also of several members, whatever the chunks', async () => {
    const data = `${patient}\n`.repeat(50);
    const joined = Buffer.concat([gzipSync(data), gzipSync(data)]);
    for (const size of [1, 100, 100_000]) {
      const { entries, end } = await readAll(joined, size);
      expect(entries).toHaveLength(100);
      expect(end).toMatchObject({ complete: true, bytes: 2 * data.length });
    }
  });

  it('passes over a byte order mark of UTF-8, however it is cut', async () => {
    for (const size of [1, 2, 50]) {
      const { entries, faults } = await readAll(`\uFEFF${patient}`, size);
      expect(faults).toEqual([]);
      expect(text(entries[0]!.bytes)).toBe(patient);
    }
  });

  it('resumes at an entry without parsing the ones before', async () => {
    const data = bundle('{"resource":broken}', `{"resource":${patient}}`, `{"resource":${patient}}`);
    const { entries, faults } = await readAll(data, 9, { from: 2 });
    expect(entries.map(({ index }) => index)).toEqual([2]);
    expect(faults).toEqual([]);
  });

  it.each<[string, string, number]>([
    ['a value that is no JSON', '{"resource":{"resourceType":"Patient","active":tru}}', codes.entrySyntax],
    ['a member twice', `{"resource":{"resourceType":"Patient","id":"a","id":"b"}}`, codes.entryDuplicateMember],
    [
      'a member twice by an escape',
      '{"resource":{"resourceType":"Patient","id":"a","i\\u0064":"b"}}',
      codes.entryDuplicateMember,
    ],
    ['two resources', `{"resource":${patient},"resource":${patient}}`, codes.entryDuplicateMember],
    ['half a surrogate pair', '{"resource":{"resourceType":"Patient","id":"\\uD83D"}}', codes.entryLoneSurrogate],
    ['no resource', '{"fullUrl":"urn:uuid:1"}', codes.entryWithoutResource],
    ['a resource without type', '{"resource":{"id":"a"}}', codes.resourceTypeMissing],
    [
      'nesting without end',
      `{"resource":{"resourceType":"Patient","extension":${'['.repeat(entryDepthMax)}${']'.repeat(entryDepthMax)}}}`,
      codes.entryTooDeep,
    ],
  ])('reports %s at its index and reads on', async (_name, entry, code) => {
    const { entries, faults, end } = await readAll(
      bundle(`{"resource":${patient}}`, entry, `{"resource":${patient}}`),
      13,
    );
    expect(faults.map((fault) => [fault.index, fault.code, fault.fatal])).toEqual([[1, code, false]]);
    expect(entries.map(({ index }) => index)).toEqual([0, 2]);
    expect(end).toMatchObject({ complete: true, entries: 3, faults: 1 });
  });

  it('accepts a whole surrogate pair and refuses bytes that are no UTF-8', async () => {
    const good = await readAll(bundle('{"resource":{"resourceType":"Patient","id":"\\uD83D\\uDE00"}}'));
    expect(good.faults).toEqual([]);
    const data = Buffer.from(bundle(`{"resource":${patient}}`, '{"resource":{"resourceType":"Patient","id":"~"}}'));
    data[data.indexOf(0x7e)] = 0xff;
    const bad = await readAll(data);
    expect(bad.faults.map(({ index, code }) => [index, code])).toEqual([[1, codes.entryEncoding]]);
  });

  it.each<[string, string | Uint8Array, number]>([
    ['empty', '', codes.inputEmpty],
    ['only spaces', ' \n ', codes.inputEmpty],
    ['text', 'hello', codes.inputNotJson],
    ['a list', '[]', codes.inputNotJson],
    ['UTF-16', Buffer.from(patient, 'utf16le'), codes.inputEncoding],
    ['an archive', 'PK\u0003\u0004', codes.inputKind],
    ['XML', '<Patient/>', codes.inputKind],
    [
      'a missing comma',
      `{"resourceType":"Bundle","entry":[{"resource":${patient}} {"resource":${patient}}]}`,
      codes.envelopeSyntax,
    ],
    ['a comma too much', `{"resourceType":"Bundle","entry":[{"resource":${patient}},]}`, codes.envelopeSyntax],
    ['crossed brackets', '{"resourceType":"Patient","name":[}]', codes.inputNotJson],
    ['a second value in the line', `${patient}${patient}\n`, codes.inputNotJson],
  ])('refuses what is %s as a whole', async (_name, data, code) => {
    const { faults, end } = await readAll(data, 4);
    expect(faults.map((fault) => [fault.code, fault.fatal])).toEqual([[code, true]]);
    expect(end.complete).toBe(false);
  });

  it('gives out everything before a truncation, and says where to resume', async () => {
    const whole = bundle(...Array.from({ length: 20 }, () => `{"resource":${patient}}`));
    for (const length of [whole.length - 1, whole.length - 20, 300]) {
      const { entries, faults, end } = await readAll(whole.slice(0, length), 17);
      expect(faults).toMatchObject([{ code: codes.inputTruncated, fatal: true, index: entries.length }]);
      expect(end).toMatchObject({ complete: false, entries: entries.length });
    }
  });

  it('gives out everything before the damage of a gzip stream', async () => {
    const lines = Array.from({ length: 4000 }, (_, index) => `{"resourceType":"Patient","id":"${index * 7919}"}`).join(
      '\n',
    );
    const data = gzipSync(lines);
    const { entries, faults, end } = await readAll(data.subarray(0, data.length >> 1), 1000);
    expect(entries.length).toBeGreaterThan(1000);
    expect(faults.at(-1)).toMatchObject({ code: codes.gzipBroken, fatal: true });
    expect(end.complete).toBe(false);
    const flipped = Buffer.from(data);
    flipped[flipped.length - 6] = (flipped[flipped.length - 6] ?? 0) ^ 1;
    expect((await readAll(flipped, 1000)).faults.at(-1)).toMatchObject({ code: codes.gzipBroken });
  });

  it('refuses a bomb, in bounded memory', async () => {
    const bomb = gzipSync(
      Buffer.concat([Buffer.from('{"resourceType":"Patient","id":"'), Buffer.alloc(200_000_000, 0x61)]),
    );
    const { faults, end } = await readAll(bomb, 65_536);
    expect(faults.at(-1)).toMatchObject({ code: codes.inflationSuspicious, fatal: true });
    expect(end.bytes).toBeLessThan(120_000_000);
  });

  it('skips an entry that is too large and reads on', async () => {
    async function* huge() {
      yield Buffer.from(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Binary","data":"`);
      for (let index = 0; index < 70; index += 1) yield Buffer.alloc(1024 * 1024, 0x61);
      yield Buffer.from(`"}},{"resource":${patient}}]}`);
    }
    const events = [];
    for await (const event of readFhir(huge())) events.push(event);
    expect(events.map((event) => [event.kind, 'index' in event ? event.index : -1])).toEqual([
      ['fault', 0],
      ['entry', 1],
      ['end', -1],
    ]);
    expect(events[0]).toMatchObject({ code: codes.entryTooLarge, fatal: false });
  });

  it('passes on what the source throws', async () => {
    async function* failing() {
      yield Buffer.from('{"resourceType":');
      throw new Error('disk');
    }
    await expect(async () => {
      for await (const _ of readFhir(failing()));
    }).rejects.toThrow('disk');
  });

  it('agrees with JSON.parse on any entries, cut anywhere', async () => {
    const json = fc.jsonValue({ maxDepth: 4 }).map((value) => value as JsonValue);
    await fc.assert(
      fc.asyncProperty(
        fc.array(json, { maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(3),
        async (values, size, indent) => {
          const entry = values.map((value) => ({ resource: { resourceType: 'Basic', value } }));
          const data = JSON.stringify({ resourceType: 'Bundle', entry }, null, indent);
          const { entries, faults } = await readAll(data, size);
          expect(faults).toEqual([]);
          const parsed = JSON.parse(data) as { entry: { resource: object }[] };
          expect(entries.map(({ resource }) => resource)).toEqual(parsed.entry.map(({ resource }) => resource));
          for (const found of entries) expect(JSON.parse(text(found.resourceBytes))).toEqual(found.resource);
        },
      ),
    );
  });

  it('never throws on damaged input', async () => {
    const whole = bundle(`{"fullUrl":"urn:uuid:1","resource":${patient}}`, `{"resource":${patient}}`);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 1, max: 30 }),
        async (at, byte, size) => {
          const data = Buffer.from(whole);
          data[at] = byte;
          const { end } = await readAll(data, size);
          expect(end.kind).toBe('end');
        },
      ),
    );
  });
});

describe('R-REC-4 readResource', () => {
  it('parses a resource or a whole Bundle, and throws numbered errors', () => {
    expect(readResource(Buffer.from(patient))).toEqual({ resourceType: 'Patient', id: 'a' });
    expect(readResource(Buffer.from(bundle(`{"resource":${patient}}`)))).toMatchObject({ type: 'batch' });
    for (const [data, code] of [
      ['', codes.inputEmpty],
      ['{}', codes.resourceTypeMissing],
      [`${patient}{`, codes.inputNotJson],
      ['{"resourceType":"Patient","a":1,"a":2}', codes.entryDuplicateMember],
      ['{"resourceType":"Patient"', codes.inputTruncated],
    ] as const) {
      expect(() => readResource(Buffer.from(data))).toThrow(expect.objectContaining({ code }));
    }
  });
});

const synthea = syntheaFiles();

describe.skipIf(synthea.length === 0)('R-REC-4 real records (skipped where SALUS_DATA has none)', () => {
  it('reads all Synthea files like JSON.parse', { timeout: 120_000 }, async () => {
    expect(synthea).toHaveLength(34);
    let resources = 0;
    for (const file of synthea) {
      const whole = unzipped(file) as { type: string; entry: { fullUrl: string; resource: object; request: object }[] };
      let end: EndEvent | undefined;
      let next = 0;
      for await (const event of readFhir(createReadStream(file))) {
        if (event.kind === 'end') end = event;
        else {
          expect(event.kind).toBe('entry');
          const expected = whole.entry[event.index];
          const found = event as EntryEvent;
          expect(found.index).toBe(next);
          // Comparing texts is many times faster than comparing objects.
          expect(JSON.stringify(found.resource) === JSON.stringify(expected?.resource)).toBe(true);
          expect(JSON.stringify(JSON.parse(text(found.bytes))) === JSON.stringify(expected)).toBe(true);
          expect(found.fullUrl).toBe(expected?.fullUrl);
          next += 1;
        }
      }
      expect(next).toBe(whole.entry.length);
      expect(end).toMatchObject({ complete: true, faults: 0, bundle: { type: whole.type } });
      resources += next;
    }
    expect(resources).toBe(22_005);
  });

  it('reads every R4 example', async () => {
    for (const file of exampleFiles()) {
      const whole = JSON.parse(readFileSync(file, 'utf8')) as { resourceType: string; entry?: { resource?: object }[] };
      const without =
        whole.resourceType === 'Bundle' ? (whole.entry ?? []).filter(({ resource }) => !resource).length : 0;
      const faults: number[] = [];
      let entries = 0;
      for await (const event of readFhir(createReadStream(file))) {
        if (event.kind === 'fault') faults.push(event.code);
        if (event.kind === 'entry') entries += 1;
      }
      expect(faults).toEqual(Array.from({ length: without }, () => codes.entryWithoutResource));
      expect(entries).toBe(whole.resourceType === 'Bundle' ? (whole.entry ?? []).length - without : 1);
    }
  });
});
