/** Errors of what goes from node to node: 792–795. */
export const PeerErrorCodes = {
  memberUnreachable: 792,
  endpointUnfit: 793,
  peerSilent: 794,
  peerAnswerUnfit: 795,
} as const;

type Code = (typeof PeerErrorCodes)[keyof typeof PeerErrorCodes];

export const peerErrors: ReadonlyMap<Code, { name: string; advice: string }> = new Map([
  [792, { name: 'memberUnreachable', advice: 'No active member has that name: see /api/status.' }],
  [
    793,
    {
      name: 'endpointUnfit',
      advice:
        'The address of that member on the ledger cannot be used from here: it registers another one with identity/updateOrganisation.',
    },
  ],
  [794, { name: 'peerSilent', advice: 'The node of that member does not answer: repeat the request later.' }],
  [795, { name: 'peerAnswerUnfit', advice: 'The node of that member gave no usable answer: tell that member.' }],
]);

export const peerErrorStatus: ReadonlyMap<Code, number> = new Map([
  [792, 404],
  [793, 502],
  [794, 503],
  [795, 502],
]);
