import { Readable } from 'node:stream';
import { ApiErrorCodes, routes } from '@salus/api';
import type { Requester, Subject } from '../auth/requester.ts';
import { ApiFault, addErrorTable, RuleFault, setErrorStatus } from '../http/problems.ts';
import { NodeErrorCodes, NodeFault, nodeErrors } from '../node/errors.ts';
import type { NodePart } from '../node/parts.ts';
import { type ExportItem, exportLinesType, lineOf } from './items.ts';
import { type ExportWish, exportItems } from './patient-export.ts';

interface Wish {
  patient: string;
  purpose?: string;
  asSystem?: boolean;
}

/**
 * Who takes the copy: whoever the token speaks for. A system of the organisation hands the patient's copy over, unless it
 * says that the copy is its own.
 */
function wishOf(requester: Requester, slug: string, { patient, purpose, asSystem }: Wish): ExportWish {
  const isOwn = requester.kind === 'member' && requester.organization.slug === slug;
  if (!isOwn) throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  const { subject: speaks, roles, purpose: stated } = requester;
  const handed: Subject = asSystem === true ? { kind: 'system' } : { kind: 'patient', id: patient };
  const subject = speaks.kind === 'system' ? handed : speaks;
  const why = purpose ?? stated;
  return { slug, patient, subject, roles, ...(why !== undefined && { purpose: why }) };
}

function apiFaultOf(error: unknown): unknown {
  if (!(error instanceof NodeFault)) return error;
  if (error.code === NodeErrorCodes.exportNothing) return new RuleFault(error.code);
  return error.code === NodeErrorCodes.organizationUnknown ? new ApiFault(ApiErrorCodes.organizationUnknown) : error;
}

async function* linesFrom(first: ExportItem, rest: AsyncGenerator<ExportItem>): AsyncGenerator<string> {
  yield lineOf(first);
  for await (const item of rest) yield lineOf(item);
}

/** A patient's whole record by HTTP. */
export const exportPart: NodePart = {
  name: 'export',
  async start(context) {
    const entry = nodeErrors.get(NodeErrorCodes.exportNothing);
    if (entry !== undefined) addErrorTable(new Map([[NodeErrorCodes.exportNothing, entry]]));
    setErrorStatus(NodeErrorCodes.exportNothing, 404);
    context.mounter.mount(routes.exportRecords, async ({ params, body, requester, reply }) => {
      const items = exportItems(context, wishOf(requester, params.slug, body));
      // The first piece decides whether this is an answer or a refusal.
      const first = await items.next().catch((error: unknown) => {
        throw apiFaultOf(error);
      });
      if (first.done === true) throw new RuleFault(NodeErrorCodes.exportNothing);
      return reply.type(exportLinesType).send(Readable.from(linesFrom(first.value, items)));
    });
    return undefined;
  },
};
