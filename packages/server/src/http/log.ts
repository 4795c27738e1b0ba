import { type Logger, pino, stdTimeFunctions } from 'pino';

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

type Facts = Record<string, string | number | boolean>;

/**
 * The node's log: one JSON object a line, with `level`, `time` (RFC 3339) and `event`. It has a method per kind of line,
 * and none that takes a request: addresses, bodies, headers and error messages can carry identifiers, so only route
 * patterns, numbers and frames of the stack are ever written.
 */
export interface NodeLog {
  request(id: string, method: string, pattern: string, status: number, ms: number): void;
  fault(id: string, pattern: string | undefined, error: unknown): void;
  /** Something that happened to the node itself; `facts` hold counts, heights, ports, never people. */
  note(event: string, facts?: Facts): void;
  /** The same, where somebody has to act. */
  warn(event: string, facts?: Facts): void;
}

/** The places of a stack, without its first line: that one holds the message. */
function framesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  return (error.stack ?? '').split('\n').flatMap((line) => {
    const match = /^\s+at (.*)$/.exec(line);
    return match?.[1] === undefined ? [] : [match[1]];
  });
}

export function createLog(level: LogLevel, destination?: { write(line: string): void }): NodeLog {
  const options = {
    level,
    base: null,
    messageKey: 'event',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const logger: Logger = destination === undefined ? pino(options, pino.destination(2)) : pino(options, destination);
  return {
    request(id, method, route, status, ms) {
      logger.info({ id, method, route, status, ms: Math.round(ms * 1000) / 1000 }, 'request');
    },
    fault(id, route, error) {
      const name = error instanceof Error ? error.name : typeof error;
      logger.error({ id, route: route ?? 'unknown', name, frames: framesOf(error) }, 'fault');
    },
    note(event, facts) {
      logger.info(facts ?? {}, event);
    },
    warn(event, facts) {
      logger.warn(facts ?? {}, event);
    },
  };
}
