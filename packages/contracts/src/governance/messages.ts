/** Kept for voting: proposals, votes, emergency suspension, publication of rule sets and of contracts. */
export const reservedMessages = [
  'governance/propose',
  'governance/vote',
  'governance/veto',
  'governance/withdraw',
  'governance/execute',
  'governance/suspendInEmergency',
  'governance/ratifySuspension',
  'governance/publishRuleSet',
  'governance/uploadContract',
] as const;
