import type { TSchema } from 'typebox';

export function isSchema(value: unknown): value is TSchema & Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
