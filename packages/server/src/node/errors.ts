/**
 * Errors of running a node: 700–749, and 850–859 of its stores. They reach whoever runs it, on the command line and in the log.
 */
export const NodeErrorCodes = {
  portBusy: 700,
  addressUnusable: 701,
  dataDirectoryAlien: 702,
  dataDirectoryUnfinished: 703,
  dataDirectoryVersion: 704,
  dataDirectoryChain: 705,
  dataDirectoryLocked: 706,
  dataDirectoryDamaged: 707,
  dataDirectoryMissing: 708,
  storeVersion: 710,
  keyFileMissing: 711,
  keyFileDamaged: 712,
  keyMismatch: 713,
  organizationUnknown: 714,
  impersonationForbidden: 715,
  inputInvalid: 716,
  engineUnknown: 717,
  dataDirectoryUnwritable: 718,
  consensusMissing: 719,
  invitationUnfit: 726,
  memberTaken: 727,
  rollbackUnable: 728,
  certificateUnreadable: 729,
  backupMissing: 730,
  backupDamaged: 731,
  backupTargetTaken: 732,
  backupKeysMissing: 733,
  erasuresMissing: 734,
  exportNothing: 735,
  controlUnavailable: 736,
  controlRefused: 737,
  backupUnderWay: 738,
  backupOnlineUnable: 739,
  exportCut: 740,
  chainHandedOver: 741,
  exportTargetTaken: 742,
  exportWaits: 743,
  voteLost: 744,
  networkMissing: 745,
  networkRunning: 746,
  memberUnready: 747,
  certificateUnfit: 748,
  joinWaits: 749,
  storeUnavailable: 850,
  storeTaken: 851,
  storeForeign: 852,
  storeElsewhere: 853,
  storeTargetTaken: 854,
} as const;

export type NodeErrorCode = (typeof NodeErrorCodes)[keyof typeof NodeErrorCodes];

export const nodeErrors: ReadonlyMap<number, { name: string; advice: string }> = new Map<
  NodeErrorCode,
  { name: string; advice: string }
>([
  [700, { name: 'portBusy', advice: 'Another program uses this port: choose one with --port, or end that program.' }],
  [701, { name: 'addressUnusable', advice: 'This machine cannot listen there: check --host and --port.' }],
  [
    702,
    {
      name: 'dataDirectoryAlien',
      advice: 'The directory holds files that are not a Salus node’s: name an empty one, or the node’s own.',
    },
  ],
  [
    703,
    {
      name: 'dataDirectoryUnfinished',
      advice:
        'A first start into this directory did not finish, so it holds no node yet. Look that nothing in it is ' +
        'needed, remove it, and start again.',
    },
  ],
  [
    704,
    {
      name: 'dataDirectoryVersion',
      advice: 'The directory was written by another version of the format: use the version of Salus that wrote it.',
    },
  ],
  [705, { name: 'dataDirectoryChain', advice: 'The directory belongs to another chain: choose its own with --data.' }],
  [706, { name: 'dataDirectoryLocked', advice: 'Another process uses this directory: stop that node first.' }],
  [
    707,
    {
      name: 'dataDirectoryDamaged',
      advice:
        'A file that says what the directory is (salus.json, genesis.json; network.json of a network) cannot be read: restore it from a backup or the escrow.',
    },
  ],
  [
    708,
    {
      name: 'dataDirectoryMissing',
      advice:
        'There is no node in this directory: name its own with --data, or make one: `salus demo`, `salus network init`.',
    },
  ],
  [710, { name: 'storeVersion', advice: 'The store was written by a newer version of Salus: use that version.' }],
  [711, { name: 'keyFileMissing', advice: 'A key file is missing: restore it from its escrow.' }],
  [712, { name: 'keyFileDamaged', advice: 'A key file cannot be read: restore it from its escrow.' }],
  [713, { name: 'keyMismatch', advice: 'A key file does not belong to this organisation: restore the right one.' }],
  [714, { name: 'organizationUnknown', advice: 'The node hosts no organisation of that name: see `salus status`.' }],
  [
    715,
    {
      name: 'impersonationForbidden',
      advice: 'Tokens for other people exist on sandbox chains only: sign in through the organisation.',
    },
  ],
  [716, { name: 'inputInvalid', advice: 'See --help of the command for what it takes.' }],
  [717, { name: 'engineUnknown', advice: 'This version knows the engines `embedded` and `cometbft`.' }],
  [
    718,
    { name: 'dataDirectoryUnwritable', advice: 'The directory cannot be written: check its owner, mode and space.' },
  ],
  [719, { name: 'consensusMissing', advice: 'Install the tested CometBFT with: salus network install' }],
  [
    726,
    {
      name: 'invitationUnfit',
      advice: 'Ask a member for an invitation and, another way, for the anchor of the same network.',
    },
  ],
  [
    727,
    { name: 'memberTaken', advice: 'Choose another name with --slug, or go on with the directory that has its keys.' },
  ],
  [
    728,
    {
      name: 'rollbackUnable',
      advice: 'Nothing was changed: take the state from the other members with `salus network resync`.',
    },
  ],
  [
    729,
    {
      name: 'certificateUnreadable',
      advice: 'A file named by --certificate holds no certificate in PEM, or this user cannot read it.',
    },
  ],
  [730, { name: 'backupMissing', advice: 'There is no finished backup: name the directory that backup.json is in.' }],
  [731, { name: 'backupDamaged', advice: 'Do not use this backup: take another one. Nothing was written.' }],
  [732, { name: 'backupTargetTaken', advice: 'Choose a directory that is empty or not there yet.' }],
  [
    733,
    {
      name: 'backupKeysMissing',
      advice: 'Keys are in no backup: give with --keys a copy of keys/ and orgs/*/keys/ of the node, from its escrow.',
    },
  ],
  [
    734,
    {
      name: 'erasuresMissing',
      advice: 'Give with --erasures what `salus backup --erasures-only` wrote, a later backup, or a data directory.',
    },
  ],
  [
    735,
    {
      name: 'exportNothing',
      advice: 'Nothing was released: there is no such patient here, or no directive or rule permits this requester.',
    },
  ],
  [
    736,
    {
      name: 'controlUnavailable',
      advice: 'The node of this directory does not answer on this machine: wait until it runs, or stop it.',
    },
  ],
  [737, { name: 'controlRefused', advice: 'The node of this directory could not do it: see its log, and try again.' }],
  [738, { name: 'backupUnderWay', advice: 'A backup of this node is being made: wait until it has ended.' }],
  [
    739,
    { name: 'backupOnlineUnable', advice: 'The engine of this node cannot be copied at work: stop it, then back up.' },
  ],
  [740, { name: 'exportCut', advice: 'The answer ended before its end, so nothing of it was kept: export again.' }],
  [
    741,
    {
      name: 'chainHandedOver',
      advice:
        'The chain of this directory was handed over to a network, and no block is made here any more: run the network’s ' +
        'members. What is here can be read, examined and verified.',
    },
  ],
  [
    742,
    {
      name: 'exportTargetTaken',
      advice:
        'Name with --dir a directory that is not there yet, or the one of an export of this chain that did not end.',
    },
  ],
  [
    743,
    {
      name: 'exportWaits',
      advice: 'Nothing was handed over: the chain goes on here. Run the same command again later.',
    },
  ],
  [
    744,
    {
      name: 'voteLost',
      advice: 'The members did not adopt it, and nothing was changed: ask them why, and propose it again.',
    },
  ],
  [745, { name: 'networkMissing', advice: 'Create one with `salus network init`, or name its directory with --dir.' }],
  [
    746,
    {
      name: 'networkRunning',
      advice: 'End it first with `salus network stop`; `salus network stop MEMBER` ends one alone.',
    },
  ],
  [
    747,
    {
      name: 'memberUnready',
      advice: 'Do what is said there first; docs/operating/network.md and recovery.md have the whole way.',
    },
  ],
  [
    748,
    {
      name: 'certificateUnfit',
      advice:
        'Give with --tls-cert and --tls-key a certificate chain and its key, both as PEM files that this user can read.',
    },
  ],
  [749, { name: 'joinWaits', advice: 'Run the same command again when the members have admitted this organisation.' }],
  [
    850,
    {
      name: 'storeUnavailable',
      advice:
        'PostgreSQL does not let the node in: see that it runs, and the address, password and certificate of --database.',
    },
  ],
  [851, { name: 'storeTaken', advice: 'Stop the other node, or wait until its connection has ended.' }],
  [
    852,
    { name: 'storeForeign', advice: 'The rows there belong to another organisation or chain: name its own database.' },
  ],
  [
    853,
    {
      name: 'storeElsewhere',
      advice: 'Name the database with --database or SALUS_DATABASE, or move the rows with `salus store move`.',
    },
  ],
  [854, { name: 'storeTargetTaken', advice: 'There are rows already: name an empty place. Nothing was written.' }],
]);

/** Something about the node’s surroundings is wrong; nothing has been changed. */
export class NodeFault extends Error {
  readonly code: NodeErrorCode;
  constructor(code: NodeErrorCode, detail?: string, options?: ErrorOptions) {
    const advice = nodeErrors.get(code)?.advice ?? '';
    super(detail === undefined ? advice : `${detail} ${advice}`, options);
    this.name = 'NodeFault';
    this.code = code;
  }
}
