import { createServer } from 'node:net';

const portFirst = 20_000;
const portLast = 30_000;
/** Between two bases: members of a network have ten ports each, of which they use three. */
const portsPerBase = 50;
const portsPerMember = 10;
const usedByMember = [0, 1, 2];
const bases = (portLast - portFirst) / portsPerBase;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The first of the ports of a network of up to five members, below those that the system gives out by itself. */
export async function freeBasePort(): Promise<number> {
  const members = Array.from({ length: portsPerBase / portsPerMember }, (_, member) => member * portsPerMember);
  for (let attempt = 0; attempt < bases; attempt += 1) {
    const base = portFirst + ((process.pid * 7 + attempt) % bases) * portsPerBase;
    const used = members.flatMap((first) => usedByMember.map((offset) => base + first + offset));
    if ((await Promise.all(used.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no free ports');
}
