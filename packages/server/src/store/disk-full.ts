const noRoomCodes: readonly unknown[] = ['ENOSPC', 'EDQUOT'];
const sqliteFull = 13;

/** Whether something below ran out of space: a file, or one of the databases. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const isFull = 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === sqliteFull;
  return isFull || ('code' in error && noRoomCodes.includes(error.code)) || isDiskFull(error.cause);
}
