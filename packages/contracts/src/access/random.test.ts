import { describe } from 'vitest';
import { consentContract } from '../consent/index.ts';
import { recordsContract } from '../records/index.ts';
import { replicasAgree } from '../records/replicas.ts';
import { arbitraryCareRequest } from './arbitraries.ts';
import { accessContract } from './contract.ts';

describe('R-CON-1 R-CON-3 R-CON-4 any sequence of records, consent and access', () => {
  const counted = [consentContract, accessContract];
  replicasAgree([recordsContract, consentContract, accessContract], arbitraryCareRequest, counted);
});
