import {
  evidenceToRpc,
  type Handover,
  type JsonValue,
  type LightProvider,
  lightBlockFromRpc,
  parseJsonStrict,
  proofError,
  providerErrorOfRpc,
} from '@salus/protocol';
import { usageFault } from '../cli.ts';

const answerBytesMax = 16 * 1024 * 1024;
const answerDepthMax = 16;
const answerMsMax = 10_000;
/** CometBFT gives no more validators at once. */
const validatorsPerPage = 100;
const pagesMax = 10;

/** The address of an RPC: plain or TLS, without user or password, which would end up in logs. */
function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (!url || !isPlain || url.username !== '' || url.password !== '') {
    throw usageFault('A source must be an address of CometBFT’s RPC, as http://127.0.0.1:26657.');
  }
  return url;
}

async function bodyOf(response: Response): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > answerBytesMax) throw proofError('providerBadBlock');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value[name] : undefined;
}

/** A source of light blocks over CometBFT's JSON-RPC. Nothing that it says is believed before the client verified it. */
export class RpcSource implements LightProvider {
  readonly chain: string;
  readonly #address: URL;
  readonly #handovers: readonly Handover[];

  constructor(address: string, chain: string, handovers: readonly Handover[] = []) {
    this.#address = addressOf(address);
    this.chain = chain;
    this.#handovers = handovers;
  }

  /** Host and port: what tells one node from another. */
  get host(): string {
    return this.#address.host;
  }

  async lightBlock(height?: number): Promise<ReturnType<typeof lightBlockFromRpc>> {
    const commit = await this.#call('commit', height === undefined ? {} : { height: String(height) });
    const header = memberOf(memberOf(commit, 'signed_header'), 'header');
    const validators = await this.#validators(String(memberOf(header, 'height')));
    return lightBlockFromRpc(commit, validators);
  }

  async handovers(): Promise<Handover[]> {
    return [...this.#handovers];
  }

  async reportEvidence(evidence: Parameters<typeof evidenceToRpc>[0]): Promise<void> {
    await this.#call('broadcast_evidence', { evidence: evidenceToRpc(evidence) });
  }

  async #validators(height: string): Promise<JsonValue[]> {
    const all: JsonValue[] = [];
    for (let page = 1; page <= pagesMax; page += 1) {
      const answer = await this.#call('validators', {
        height,
        page: String(page),
        per_page: String(validatorsPerPage),
      });
      const list = memberOf(answer, 'validators');
      if (!Array.isArray(list)) throw proofError('providerBadBlock');
      all.push(...list);
      if (list.length === 0 || all.length >= Number(memberOf(answer, 'total'))) break;
    }
    return all;
  }

  /** The result; CometBFT's refusals, and silence, as the light client knows them. */
  async #call(method: string, params: JsonValue): Promise<JsonValue> {
    const value = parseJsonStrict(await this.#post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })), {
      bytesMax: answerBytesMax,
      depthMax: answerDepthMax,
    });
    const failure = memberOf(value, 'error');
    if (failure !== undefined) throw providerErrorOfRpc(String(memberOf(failure, 'data')));
    const result = memberOf(value, 'result');
    if (result === undefined) throw proofError('providerBadBlock');
    return result;
  }

  async #post(body: string): Promise<Uint8Array> {
    try {
      const headers = { 'content-type': 'application/json' };
      const signal = AbortSignal.timeout(answerMsMax);
      return await bodyOf(await fetch(this.#address, { method: 'POST', headers, body, signal, redirect: 'error' }));
    } catch (cause) {
      throw proofError('providerSilent', { cause });
    }
  }
}
