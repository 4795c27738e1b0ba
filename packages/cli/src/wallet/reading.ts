import { routes, streamEvents } from '@salus/api';
import { parseAnchor, utf8 } from '@salus/protocol';
import { AccountingAuditor } from '../audit/verify-accounting.ts';
import { walletError } from './errors.ts';
import { receiptOf, stateProof } from './proofs.ts';
import type { Wallet } from './wallet.ts';
import type { WalletContext } from './wallet-state.ts';

/** Pages of one record that are followed. */
const pagesMax = 1_000;

/** Every access to the patient's records at one custodian, each held against the ledger by proofs. */
export async function whoLooked(wallet: Wallet, context: WalletContext) {
  const client = await wallet.client(context);
  const { slug: custodian, did } = context.custodian;
  const auditor = new AccountingAuditor({
    custodian: did,
    anchor: parseAnchor(utf8(context.anchor)),
    accounting: async () => await client.accounting({ params: { slug: custodian } }),
    receipt: (transaction) => receiptOf(client, transaction),
    proof: (stateKey) => stateProof(client, stateKey),
  });
  const { complete, counted, accesses, problems } = await auditor.audit(context.did);
  return { custodian, complete, counted, entries: accesses, problems };
}

interface Bundle {
  entry?: { resource: { resourceType: string; id: string } & Record<string, unknown> }[];
  link?: { relation: string; url: string }[];
}

async function fhir(wallet: Wallet, context: WalletContext, address: string): Promise<Bundle> {
  const { token } = await wallet.access(context);
  const url = new URL(address, context.url);
  // A page may not lead the token to somebody else's node.
  if (url.origin !== new URL(context.url).origin) throw walletError('nodeAnswer');
  const authorization = `Bearer ${await token('GET', url.pathname)}`;
  const response = await fetch(url, { headers: { authorization, accept: 'application/fhir+json' } });
  if (!response.ok) throw walletError('nodeAnswer', `HTTP ${response.status}`);
  return (await response.json()) as Bundle;
}

/** Everything of one patient that the gate lets this wallet read. */
export async function everythingOf(wallet: Wallet, context: WalletContext, fhirId: string) {
  const resources: Record<string, unknown>[] = [];
  let next: string | undefined = `/org/${context.custodian.slug}/fhir/R4/Patient/${fhirId}/$everything`;
  for (let page = 0; next !== undefined && page < pagesMax; page += 1) {
    const bundle: Bundle = await fhir(wallet, context, next);
    resources.push(...(bundle.entry ?? []).map((entry) => entry.resource));
    next = bundle.link?.find(({ relation }) => relation === 'next')?.url;
  }
  return resources;
}

/** The patient's own record at one custodian: everything, with what may be kept from the patient left out by the gate. */
export async function ownRecord(wallet: Wallet, context: WalletContext) {
  const found = await fhir(wallet, context, `/org/${context.custodian.slug}/fhir/R4/Patient`);
  const resources: Record<string, unknown>[] = [];
  for (const { resource } of found.entry ?? []) {
    if (resource.resourceType === 'Patient') resources.push(...(await everythingOf(wallet, context, resource.id)));
  }
  return { custodian: context.custodian.slug, entries: resources.length, resources };
}

/** Tells what concerns the patient, as it happens, until the signal. Content is fetched apart, by its own proofs. */
export async function watch(
  wallet: Wallet,
  context: WalletContext,
  tell: (notice: { custodian: string; id: string; type: string; data: unknown }) => void,
  signal: AbortSignal,
): Promise<void> {
  const { slug: custodian } = context.custodian;
  let lastEventId: string | undefined;
  while (!signal.aborted) {
    const input = { params: { slug: custodian }, signal, ...(lastEventId !== undefined && { lastEventId }) };
    try {
      for await (const { id, event, data } of streamEvents(await wallet.access(context), routes.notices, input)) {
        lastEventId = id;
        tell({ custodian, id, type: event, data: JSON.parse(data) });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
