import { accessPart } from '../access/access-part.ts';
import { delegatesPart } from '../access/delegates.ts';
import { exportPart } from '../export/export-part.ts';
import { fhirPart } from '../fhir/fhir-part.ts';
import { recordsPart } from '../records/records-part.ts';
import type { NodeContext } from './start-node.ts';

/**
 * A part of a node beyond its core: it mounts routes, follows blocks, keeps stores. Parts start in order after the core
 * and before the port opens; what `start` gives is called when the node stops, in the opposite order.
 */
export interface NodePart {
  readonly name: string;
  start(context: NodeContext): Promise<(() => void | Promise<void>) | undefined>;
}

/** The parts of every node. A new part is added here and nowhere else. */
export const nodeParts: readonly NodePart[] = [recordsPart, accessPart, delegatesPart, exportPart, fhirPart];
