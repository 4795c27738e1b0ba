/**
 * Loaded into a process with `--import`: ends it with SIGKILL right before step SALUS_KILL_AT of those that change names below
 * SALUS_KILL_BELOW (a file or directory that appears, takes another's place, or goes).
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const below = process.env.SALUS_KILL_BELOW ?? '';
const at = Number(process.env.SALUS_KILL_AT);
let step = 0;

function counted<Arguments extends unknown[], Result>(call: (...args: Arguments) => Result) {
  return (...args: Arguments): Result => {
    if (String(args[0]).startsWith(below)) {
      step += 1;
      if (step === at) process.kill(process.pid, 'SIGKILL');
    }
    return call(...args);
  };
}

Object.assign(fs, {
  renameSync: counted(fs.renameSync),
  mkdirSync: counted(fs.mkdirSync),
  rmSync: counted(fs.rmSync),
});
syncBuiltinESMExports();
