import { sha256 } from './bytes.ts';
import { type BlockId, type Commit, encodeCommit, encodeHeader, type Header, headerHash } from './comet.ts';
import { type MerkleProof, MerkleTree } from './merkle.ts';
import { WireWriter } from './wire.ts';

/** Whole blocks of CometBFT 0.38: their encoding and the parts that it is cut into for the block id. */

/** CometBFT's BlockPartSizeBytes. */
export const blockPartBytes = 65_536;
/** A tag and a length. */
const fieldHeadBytesMax = 16;

/** `lastCommit` is the commit of the block before; in the first block it has no votes, height 0 and a zero block id. */
export type Block = { header: Header; transactions: Uint8Array[]; lastCommit: Commit };

export type BlockPart = { index: number; bytes: Uint8Array; proof: MerkleProof };

/** `evidenceHash` of a block without evidence: the hash of the empty list. */
export const evidenceHashNone: Uint8Array = sha256(new Uint8Array(0));

/** tendermint.types.Block without evidence. */
export function encodeBlock(block: Block): Uint8Array {
  const header = encodeHeader(block.header);
  const lastCommit = encodeCommit(block.lastCommit);
  const dataBytes = block.transactions.reduce((sum, { length }) => sum + length + fieldHeadBytesMax, 0);
  const data = new WireWriter(dataBytes);
  for (const transaction of block.transactions) data.message(1, transaction);
  return new WireWriter(dataBytes + header.length + lastCommit.length + 4 * fieldHeadBytesMax)
    .message(1, header)
    .message(2, data.finish())
    .message(3, new Uint8Array(0))
    .message(4, lastCommit)
    .finish();
}

/** The parts of an encoded block and the tree's root over them. */
export function blockParts(encodedBlock: Uint8Array): { total: number; hash: Uint8Array; parts: BlockPart[] } {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < encodedBlock.length; offset += blockPartBytes) {
    pieces.push(encodedBlock.subarray(offset, offset + blockPartBytes));
  }
  const tree = new MerkleTree(pieces);
  const parts = pieces.map((bytes, index) => ({ index, bytes, proof: tree.proof(index) }));
  return { total: pieces.length, hash: tree.root, parts };
}

export function blockIdOf(block: Block): BlockId {
  const { total, hash } = blockParts(encodeBlock(block));
  return { hash: headerHash(block.header), parts: { total, hash } };
}
