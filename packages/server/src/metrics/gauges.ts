import { Gauge, type Registry } from 'prom-client';

/** Gauges without labels by short names; `prefix` and the key make the name. */
export function gauges<K extends string>(registry: Registry, prefix: string, helps: Readonly<Record<K, string>>) {
  const made = Object.entries<string>(helps).map(([name, help]) => [
    name,
    new Gauge({ name: `${prefix}_${name}`, help, registers: [registry] }),
  ]);
  return Object.fromEntries(made) as Readonly<Record<K, Gauge>>;
}
