import { isObject, type JsonValue } from '../types.ts';

/** A stretch of time in ms since 1970: `low` included, `high` not. Open ends are infinite. */
export type TimeRange = { low: number; high: number };

const DATE_TIME =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * The range that a FHIR date, dateTime or instant stands for, by its precision (R4 §2.24.0.1, §3.1.1.4.7): `2020-05`
 * is all of May. Without a time zone it is taken as UTC. Undefined where the text is no date.
 */
export function dateRange(text: string): TimeRange | undefined {
  const match = DATE_TIME.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const milliseconds = fraction ? Number(fraction.slice(0, 3).padEnd(3, '0')) : 0;
  const numbers = [year, month ?? '01', day ?? '01', hour ?? '00', minute ?? '00', second ?? '00'].map(Number);
  const [y = 0, mo = 1, d = 1, h = 0, mi = 0, s = 0] = numbers;
  if (mo < 1 || mo > 12 || d < 1 || d > daysOf(y, mo) || h > 24 || mi > 59 || s > 60) return undefined;
  const low = utc(y, mo, d) + h * hourMs + mi * minuteMs + s * 1000 + milliseconds - zoneMs(zone);
  if (month === undefined) return { low, high: utc(y + 1, 1, 1) };
  if (day === undefined) return { low, high: mo === 12 ? utc(y + 1, 1, 1) : utc(y, mo + 1, 1) };
  if (hour === undefined) return { low, high: low + dayMs };
  if (second === undefined) return { low, high: low + minuteMs };
  return { low, high: low + (fraction === undefined ? 1000 : 1) };
}

/** `Date.UTC` takes years below 100 for 19xx. */
function utc(year: number, month: number, day: number): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getTime();
}

function daysOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function zoneMs(zone: string | undefined): number {
  if (!zone || zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return (zone.startsWith('-') ? -minutes : minutes) * minuteMs;
}

/** The range of a date, dateTime, instant, Period or Timing element. */
export function rangeOf(value: JsonValue | undefined): TimeRange | undefined {
  if (typeof value === 'string') return dateRange(value);
  if (!isObject(value)) return undefined;
  if (Array.isArray(value.event)) return hull(value.event.map(rangeOf));
  if (isObject(value.repeat)) return rangeOf(value.repeat.boundsPeriod);
  if (value.start === undefined && value.end === undefined) return undefined;
  const start = rangeOf(value.start);
  const end = rangeOf(value.end);
  if ((value.start !== undefined && !start) || (value.end !== undefined && !end)) return undefined;
  return { low: start?.low ?? Number.NEGATIVE_INFINITY, high: end?.high ?? Number.POSITIVE_INFINITY };
}

function hull(ranges: (TimeRange | undefined)[]): TimeRange | undefined {
  const known = ranges.filter((range) => range !== undefined);
  if (known.length === 0) return undefined;
  return { low: Math.min(...known.map(({ low }) => low)), high: Math.max(...known.map(({ high }) => high)) };
}

export type DatePrefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap';

/** A tenth of the distance to now, as R4 recommends for `ap`; a day at least. */
const approximateShare = 0.1;

/** R4 §3.1.1.4.4: compares the range of an element with that of a search value. */
export function compareRanges(element: TimeRange, prefix: DatePrefix, value: TimeRange, nowMs: number): boolean {
  const within = value.low <= element.low && element.high <= value.high;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return element.high > value.high;
    case 'lt':
      return element.low < value.low;
    case 'ge':
      return within || element.high > value.high;
    case 'le':
      return within || element.low < value.low;
    case 'sa':
      return element.low >= value.high;
    case 'eb':
      return element.high <= value.low;
    case 'ap': {
      const slack = Math.max(dayMs, Math.abs(nowMs - value.low) * approximateShare);
      return element.low < value.high + slack && element.high > value.low - slack;
    }
  }
}
