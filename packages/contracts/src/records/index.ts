export * from './contract.ts';
export * from './errors.ts';
export * from './messages.ts';
export * from './queries.ts';
export * from './state.ts';
