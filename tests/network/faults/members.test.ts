import { afterAll } from 'vitest';
import { stopSharedNetwork } from './shared-network.ts';

// In this order: a disk of its own ends with the test.
import './light-client.ts';
import './misbehaviour.ts';
import './clock-and-disk.ts';

afterAll(stopSharedNetwork);
