import type { Static } from 'typebox';
import { DigestSchema, messageSchema } from './schemas.ts';

/** Time-stamps a digest for its sender: proof that a document existed, with nothing of the document told. */
export const StampSchema = messageSchema('kernel/stamp', { digest: DigestSchema });
export type StampMessage = Static<typeof StampSchema>;
