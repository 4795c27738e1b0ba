import { describe } from 'vitest';
import { arbitraryRecordsRequest } from './arbitraries.ts';
import { recordsContract } from './contract.ts';
import { replicasAgree } from './replicas.ts';

describe('R-REC-3 any sequence of messages about records', () => {
  replicasAgree([recordsContract], arbitraryRecordsRequest);
});
