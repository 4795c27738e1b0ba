import { createClient, routes, send } from '@salus/api';
import { identity } from '@salus/contracts';
import { type Anchor, type Did, parseAnchor, utf8 } from '@salus/protocol';
import {
  accessDesks,
  accessPart,
  accountingOf,
  NodeErrorCodes,
  NodeFault,
  readOrganization,
  recordsPart,
  startNode,
} from '@salus/server';
import type { GlobalOptions } from '../cli.ts';
import type { AuditSource } from './verify-accounting.ts';

const tokenLifeMs = 900_000;
/** The role to which a custodian shows the accounting of all its patients. */
const officerRole = 'officer';

export interface OpenAudit extends AuditSource {
  /** All patients of the organisation, where the source can tell. */
  patients(): Did[] | undefined;
  close(): Promise<void>;
}

/** Works on a data directory while no node runs there. `anchor` replaces the directory's own. */
export async function openDirectoryAudit(
  { data, database }: Pick<GlobalOptions, 'data' | 'database'>,
  slug: string,
  anchor?: Anchor,
): Promise<OpenAudit> {
  const node = await startNode({ dataDir: data, storeUrl: database, offline: true, parts: [recordsPart, accessPart] });
  const desk = accessDesks(node).get(slug);
  if (desk === undefined) {
    await node.stop();
    throw new NodeFault(NodeErrorCodes.organizationUnknown);
  }
  return {
    custodian: desk.did,
    anchor: anchor ?? parseAnchor(await node.ledger.anchor()),
    patients: () =>
      [...desk.records.patients.all()]
        .map(({ did }) => did)
        .filter((did) => identity.patient(node.reader, did) !== undefined),
    accounting: (patient) => accountingOf(node.reader, desk, patient),
    receipt: (hash) => node.ledger.receipt(hash, {}),
    proof: (key) => node.ledger.stateProof(key),
    close: () => node.stop(),
  };
}

/** Asks a running node; the token comes from the caller or is made with the organisation's key in the data directory. */
export async function openUrlAudit(
  url: string,
  slug: string,
  { data, token, anchor }: { data: string; token?: string; anchor?: Anchor },
): Promise<OpenAudit> {
  const given = token ?? process.env.SALUS_TOKEN;
  const ownToken = async (): Promise<string> => {
    const { keys, directory } = readOrganization(data, slug);
    const { chain } = directory.manifest;
    const subject = { kind: 'system' as const };
    return await keys.token({ chain, subject, roles: [officerRole], nowMs: Date.now(), lifeMs: tokenLifeMs });
  };
  const options = { baseUrl: url, token: async () => given ?? (await ownToken()) };
  const client = createClient(options);
  const status = await client.status();
  const member = status.organizations.find((one) => one.slug === slug);
  if (member === undefined) throw new NodeFault(NodeErrorCodes.organizationUnknown);
  const bytesOf = async (response: Promise<Response>): Promise<Uint8Array> =>
    new Uint8Array(await (await response).arrayBuffer());
  return {
    custodian: member.did as Did,
    anchor: anchor ?? parseAnchor(await bytesOf(send(options, routes.getAnchor))),
    patients: () => undefined,
    accounting: (patient) => client.accounting({ params: { slug }, query: { patient } }),
    receipt: (hash) => bytesOf(send(options, routes.getReceipt, { params: { id: hash } })),
    async proof(stateKey) {
      const [contract = '', ...rest] = stateKey.split('/');
      const params = { contract, key: rest.join('/') };
      const { proof } = await client.getState({ params, query: { proof: true } });
      return utf8(JSON.stringify(proof));
    },
    close: () => Promise.resolve(),
  };
}
