import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each package may import; everything else points upward (docs/architecture.md). */
const ALLOWED: Record<string, string[]> = {
  protocol: [],
  contracts: ['protocol'],
  standards: ['protocol'],
  vault: ['protocol'],
  ledger: ['protocol', 'contracts'],
  api: ['protocol', 'contracts'],
  server: ['protocol', 'contracts', 'standards', 'vault', 'ledger', 'api'],
  cli: ['protocol', 'contracts', 'standards', 'vault', 'ledger', 'api', 'server'],
};
const CONTRACT_ORDER = ['kernel', 'identity', 'governance', 'records', 'consent', 'access'];
const IMPORT = /(?:from|import)\s*\(?\s*'([^']+)'/g;

function sources(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    if (name === 'node_modules' || name === 'generated' || name.startsWith('.')) return [];
    if (statSync(path).isDirectory()) return sources(path);
    return name.endsWith('.ts') ? [path] : [];
  });
}

function imports(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((match) => match[1] ?? '');
}

describe('layout', () => {
  for (const [name, allowed] of Object.entries(ALLOWED)) {
    it(`${name} imports only ${allowed.join(', ') || 'nothing of ours'}`, () => {
      const packageDir = join(root, 'packages', name);
      const wrong: string[] = [];
      for (const file of sources(join(packageDir, 'src'))) {
        for (const specifier of imports(file)) {
          const ours = /^@salus\/([a-z]+)/.exec(specifier)?.[1];
          if (ours && !allowed.includes(ours)) wrong.push(`${relative(root, file)}: ${specifier}`);
          if (specifier.startsWith('.') && !resolve(dirname(file), specifier).startsWith(`${packageDir}/`)) {
            wrong.push(`${relative(root, file)}: ${specifier} leaves the package`);
          }
        }
      }
      expect(wrong).toEqual([]);
    });
  }

  it('relative imports name their file, and siblings do not import index.ts', () => {
    const wrong = sources(join(root, 'packages')).flatMap((file) => {
      // A test may use a package or contract as others do: by its root.
      const isUser = /\.test\.ts$|\/test-kit\.ts$/.test(file);
      return imports(file)
        .filter((specifier) => specifier.startsWith('.'))
        .filter((specifier) => !/\.(ts|json|js)$/.test(specifier) || (specifier === './index.ts' && !isUser))
        .map((specifier) => `${relative(root, file)}: ${specifier}`);
    });
    expect(wrong).toEqual([]);
  });

  it('documents name files that are there', () => {
    const documents = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/architecture.md', 'docs/threat-model.md'];
    const named = documents.flatMap((document) =>
      [
        ...readFileSync(join(root, document), 'utf8').matchAll(/`((?:packages|tests|bench|vectors|docs)\/[\w./-]+)`/g),
      ].map(([, path]) => `${path}`),
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('only the consent gate opens stored content', () => {
    const server = join(root, 'packages/server/src');
    const callers = sources(server)
      .filter(
        (file) =>
          !file.endsWith('.test.ts') && /\bresources\.open\(|\.readRecord(Stream)?\(/.test(readFileSync(file, 'utf8')),
      )
      .map((file) => relative(server, file))
      .sort();
    expect(callers).toEqual(['gate/gate.ts', 'records/resource-store.ts']);
  });

  it('a contract imports only queries and types of earlier contracts', () => {
    const base = join(root, 'packages/contracts/src');
    const wrong: string[] = [];
    for (const [position, contract] of CONTRACT_ORDER.entries()) {
      if (contract === 'kernel') continue;
      for (const file of sources(join(base, contract)).filter((path) => !path.endsWith('.test.ts'))) {
        for (const specifier of imports(file).filter((path) => path.startsWith('../'))) {
          const target = relative(base, resolve(dirname(file), specifier)).split('/');
          const other = CONTRACT_ORDER.indexOf(target[0] ?? '');
          if (other > position) wrong.push(`${relative(root, file)}: ${specifier}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('file names are kebab-case', () => {
    const wrong = ['packages', 'tests', 'bench']
      .flatMap((dir) => sources(join(root, dir)))
      .map((file) => relative(root, file))
      .filter((file) => !/^[a-z0-9-]+(\.[a-z0-9-]+)*\.ts$/.test(file.split('/').at(-1) ?? ''));
    expect(wrong).toEqual([]);
  });
});
