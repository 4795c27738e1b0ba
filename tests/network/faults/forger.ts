import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  absentVote,
  ed25519PublicKey,
  equalBytes,
  evidenceToRpc,
  headerHash,
  type JsonValue,
  type LightBlock,
  lightBlockFromRpc,
  sha256,
  signVote,
  sortValidators,
  type Validator,
  validatorsHash,
} from '@salus/protocol';

export type Forgery = {
  /** From this height on its blocks are forged. */
  fromHeight: number;
  /** Seeds of those who sign. */
  signers: readonly Uint8Array[];
  /** The set that the forged headers claim; the chain's own where it is absent. */
  validators?: readonly Validator[];
};

type Call = { id: number; method: string; params: { height?: string; page?: string } };
type Answer = { result?: JsonValue; error?: { data: string } };

/** The same block with a state that nobody computed, signed by these. */
function forge(block: LightBlock, { signers, validators }: Forgery): LightBlock {
  const set = sortValidators([...(validators ?? block.validators)]);
  const hash = validatorsHash(set);
  const appHash = sha256(block.header.appHash);
  const header = { ...block.header, appHash, validatorsHash: hash, nextValidatorsHash: hash };
  const { parts } = block.commit.blockId;
  const base = { height: header.height, round: block.commit.round, blockId: { hash: headerHash(header), parts } };
  const votes = set.map(({ publicKey }) => {
    const seed = signers.find((one) => equalBytes(ed25519PublicKey(one), publicKey));
    return seed ? signVote(header.chain, base, { seed, publicKey }, header.time) : absentVote;
  });
  return { header, commit: { ...base, votes }, validators: set };
}

/** A CometBFT RPC that gives true blocks of another one below a height, and forged ones from there on. */
export class Forger {
  readonly #rpcPort: number;
  readonly #forgery: Forgery;
  readonly #server: Server;
  /** Evidence that it was told of. */
  told = 0;

  private constructor(rpcPort: number, forgery: Forgery) {
    this.#rpcPort = rpcPort;
    this.#forgery = forgery;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const call = JSON.parse(Buffer.concat(chunks).toString()) as Call;
        const sent = this.#answer(call).then((answer) =>
          response.end(JSON.stringify({ jsonrpc: '2.0', id: call.id, ...answer })),
        );
        sent.catch((error: Error) => response.destroy(error));
      });
    });
  }

  static async start(rpcPort: number, forgery: Forgery): Promise<Forger> {
    const forger = new Forger(rpcPort, forgery);
    await new Promise<void>((resolve) => forger.#server.listen(0, '127.0.0.1', resolve));
    return forger;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #ask(method: string, params: Call['params']): Promise<Answer> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`http://127.0.0.1:${this.#rpcPort}`, { method: 'POST', headers, body });
    const { result, error } = (await response.json()) as Answer;
    return error ? { error } : { result: result as JsonValue };
  }

  async #answer({ method, params }: Call): Promise<Answer> {
    if (method === 'broadcast_evidence') {
      this.told += 1;
      return { result: { hash: '' } };
    }
    const commit = await this.#ask('commit', params.height === undefined ? {} : { height: params.height });
    if (commit.error) return commit;
    const { header } = (commit.result as { signed_header: { header: { height: string } } }).signed_header;
    const { height } = header;
    const page = { height, page: params.page ?? '1', per_page: '100' } as Call['params'];
    const set = await this.#ask('validators', page);
    const { validators } = set.result as { validators: JsonValue[] };
    if (Number(height) < this.#forgery.fromHeight) return method === 'commit' ? commit : set;
    const conflicting = forge(lightBlockFromRpc(commit.result as JsonValue, validators), this.#forgery);
    const { time } = conflicting.header;
    const evidence = { kind: 'lunatic' as const, conflicting, commonHeight: 1, byzantine: [], totalPower: 1, time };
    const { value } = evidenceToRpc(evidence) as {
      value: { ConflictingBlock: { signed_header: JsonValue; validator_set: { validators: JsonValue[] } } };
    };
    const { signed_header: signed, validator_set: forged } = value.ConflictingBlock;
    if (method === 'commit') return { result: { signed_header: signed, canonical: true } };
    return { result: { block_height: height, validators: forged.validators, total: String(forged.validators.length) } };
  }
}
