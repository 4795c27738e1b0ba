import { usageFault } from './cli.ts';

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30m`, `12h`, `7d`; `0` for nothing at all. */
export function durationOption(name: string): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,5})([mhd])$/.exec(text);
    const unit = match?.[2] === undefined ? undefined : unitMs[match[2]];
    if (text === '0') return 0;
    if (match === null || unit === undefined) throw usageFault(`${name} is a number and a unit: 30m, 12h, 7d.`);
    return Number(match[1]) * unit;
  };
}
