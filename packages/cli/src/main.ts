import { problemOfError } from './cli.ts';
import { run } from './program.ts';

/** Whoever reads the output may stop reading, as `head` does: what would be said goes nowhere, and the work goes on. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const args = process.argv.slice(2);

process.on('uncaughtException', (error) => {
  const { code, title, detail, advice, ...rest } = problemOfError(error);
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify({ ...rest, title, code, advice, detail })}\n`);
  else {
    const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
    process.stderr.write([`Error ${code}: ${title}.`, detail ?? '', advice, ...frames, ''].join('\n'));
  }
  process.exit(1);
});

process.exitCode = await run(args, {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
