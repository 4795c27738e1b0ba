/** Errors of requests, decisions, emergencies and wallets at a node: 780–799, but for those of peers. */
export const AccessErrorCodes = {
  linkCodeUnknown: 780,
  linkTransactionUnfit: 781,
  patientUnknown: 782,
  custodianUnknown: 783,
  personMissing: 784,
  notAllowedForRole: 785,
  requestUnknown: 786,
  reviewUnknown: 787,
  ledgerUnavailable: 788,
  emergencyLimit: 789,
  answerTooLarge: 790,
  writeRefused: 791,
  exchangeFull: 796,
} as const;

type Code = (typeof AccessErrorCodes)[keyof typeof AccessErrorCodes];

export const accessErrors: ReadonlyMap<Code, { name: string; advice: string }> = new Map([
  [
    780,
    { name: 'linkCodeUnknown', advice: 'The code is wrong, used or out of time: ask the organisation for a new one.' },
  ],
  [
    781,
    {
      name: 'linkTransactionUnfit',
      advice: 'Send one identity/bindPatient message for the patient that the code names, signed by the wallet alone.',
    },
  ],
  [782, { name: 'patientUnknown', advice: 'This organisation has no such patient: check the id.' }],
  [783, { name: 'custodianUnknown', advice: 'No member organisation has that name: see /api/status.' }],
  [784, { name: 'personMissing', advice: 'This needs a token for a practitioner, not for a system.' }],
  [785, { name: 'notAllowedForRole', advice: 'Ask somebody with the role for it, such as the privacy officer.' }],
  [786, { name: 'requestUnknown', advice: 'This organisation made no such request: check the id.' }],
  [787, { name: 'reviewUnknown', advice: 'No review of that name is open here: see the list of reviews.' }],
  [
    788,
    {
      name: 'ledgerUnavailable',
      advice: 'The ledger cannot commit now: repeat the request later. In-house treatment and emergencies go on.',
    },
  ],
  [
    789,
    {
      name: 'emergencyLimit',
      advice: 'Your limit of emergency accesses for today is used up: call the privacy officer, who was told.',
    },
  ],
  [
    790,
    {
      name: 'answerTooLarge',
      advice: 'More than one answer may hold (50,000 entries, 32 MB): ask for one type, or a shorter time, at once.',
    },
  ],
  [
    791,
    {
      name: 'writeRefused',
      advice: 'There is no such patient or record here, or none that you may write: check id, role and purpose.',
    },
  ],
  [
    796,
    {
      name: 'exchangeFull',
      advice:
        'Too many sealed payloads of this sender wait here to be opened: send the same again later. Nothing was kept of this one.',
    },
  ],
]);
