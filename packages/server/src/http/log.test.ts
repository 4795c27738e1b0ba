import { describe, expect, test } from 'vitest';
import { createLog } from './log.ts';

const secret = 'Ada Fictional 1961-04-05';

function lines(): { log: ReturnType<typeof createLog>; read(): Record<string, unknown>[] } {
  const written: string[] = [];
  const log = createLog('debug', { write: (line) => void written.push(line) });
  return { log, read: () => written.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('R-LED-5 the log', () => {
  test('is one JSON object a line with level, time and event', () => {
    const { log, read } = lines();
    log.request('id-1', 'GET', '/org/:slug/fhir/R4/Patient/:id', 200, 1.23456);
    log.note('listening', { port: 8080 });
    log.warn('key-expires', { organization: 'hospital', purpose: 'sign', name: 'sign-1', days: 12 });
    log.fault('id-2', '/api/status', new Error('x'));
    const all = read();
    expect(all.map(({ level, event }) => [level, event])).toEqual([
      ['info', 'request'],
      ['info', 'listening'],
      ['warn', 'key-expires'],
      ['error', 'fault'],
    ]);
    for (const { time, event } of all) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(event).toMatch(/^[a-z][a-z0-9-]*$/);
    }
  });

  test('has neither the message of a fault nor what it was made of', () => {
    const { log, read } = lines();
    const error = new TypeError(secret, { cause: new Error(secret) });
    log.fault('id-1', undefined, error);
    log.fault('id-2', undefined, secret);
    expect(JSON.stringify(read())).not.toContain('Ada');
    expect(read()[0]).toMatchObject({ name: 'TypeError', route: 'unknown' });
  });
});
