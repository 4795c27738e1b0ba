import { create } from '@bufbuild/protobuf';
import type { AbciRequest } from '../comet/connection.ts';
import { RequestSchema } from '../comet/generated/tendermint/abci/types_pb.ts';
import type { RequestInit } from './abci-client.ts';

/** A request as the handler of an application gets it. */
export function abciRequest(init: RequestInit): AbciRequest {
  return create(RequestSchema, { value: init }).value;
}
