import { parentPort } from 'node:worker_threads';
import type { ToWorker } from './protocol.ts';
import { SignatureChecks } from './signature-checks.ts';

const port = parentPort;
const checks = new SignatureChecks((message, transfer) => port?.postMessage(message, transfer));
port?.on('message', (message: ToWorker) => checks.receive(message));
