/** What runs in a browser: WebCrypto only. */
export { contentLength, headerBytes, type RangeSource, sealedLength } from './chunks.ts';
export { decryptContent, decryptContentRange, encryptContent } from './content-web.ts';
export { VaultErrorCodes, vaultErrors } from './errors.ts';
export {
  encodeSealed,
  type OpenedPayload,
  type OpenSealedOptions,
  openSealed,
  parseSealed,
  recipientsMax,
  type SealedEnvelope,
  type SealedPayload,
  type SealOptions,
  sealedAddress,
  sealedContentBytesMax,
  sealedEnvelopeBytesMax,
  sealPayload,
} from './sealed.ts';
export { type ByteSource, collect, readSource, toReadableStream } from './streams.ts';
