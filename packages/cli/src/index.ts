export { AccountingAuditor, type AuditSource, type ToldEntry } from './audit/verify-accounting.ts';
export { Cli, type Io, type Outcome } from './cli.ts';
export { run } from './program.ts';
export { type Choice, giveEverywhere, sendDue } from './wallet/directives.ts';
export { link } from './wallet/linking.ts';
export { Wallet } from './wallet/wallet.ts';
export { emptyState } from './wallet/wallet-state.ts';
