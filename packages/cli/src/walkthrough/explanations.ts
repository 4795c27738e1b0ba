/** What each step means, for somebody who has never seen a ledger. */
export const explanations = {
  'read bundles': 'Real records are read. Each was made by several providers, who do not share a computer.',
  'start node': 'A sandbox network starts: every organisation has its own keys and its own data.',
  'reach node':
    'A sandbox network runs already. What is played here stays in its ledger: a ledger is a list that only grows.',
  'reach members':
    'Four organisations run already: each has its own processes, keys and data, and a copy of the ledger. They do not trust each other.',
  'nobody else':
    'The payer and the regulator are members too, and ask for the same. The answer is that of a person who does not exist.',
  import:
    'Each custodian imports its part under its own record number, encrypts it, and puts salted fingerprints on the ledger.',
  'link wallets': 'Each patient makes keys that only their own wallet has, and links it with each custodian.',
  'no access yet':
    'A doctor of the clinic tries to read what the hospital holds. The answer is that of a person who does not exist.',
  ask: 'The doctor asks. The question is on the ledger; what it says is sealed to patient and custodian.',
  'forged approvals':
    'Approvals are signed with every key that the node holds, in its own name and in the patient’s, and by another patient. All are refused.',
  approve: 'The patient reads the question in the wallet and approves it with a key of their own.',
  'old approvals':
    'The doctor asks again. The old approval is sent once more, and with the new request written into it: neither opens anything. The patient says no.',
  read: 'Now the doctor reads. The ledger has the access before the first byte leaves.',
  'one history': 'The patient lets the clinic read everywhere: the parts at all custodians become one history.',
  'who looked': 'The patient sees every access, and the ledger’s own count says that none is left out.',
  revoke:
    'The patient changes their mind. From the next block on the clinic gets the answer for somebody who does not exist.',
  'collect proofs': 'Receipts and proofs are fetched: that something is on the ledger, and that something is not.',
  'verify offline':
    'The node is stopped and its data moved away. The proofs hold all the same; with one changed byte they do not.',
  verify:
    'The proofs are checked without asking the node again: the files are enough. With one changed byte they do not hold.',
} as const;

export type StepName = keyof typeof explanations;
