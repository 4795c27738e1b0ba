import type { Kysely, RootOperationNode, UnknownRow } from 'kysely';
import type { OrganizationTables } from '../store/tables.ts';

interface Readable {
  read: Kysely<OrganizationTables>;
}

export interface HeldReads {
  /** Resolves when one has its rows, and waits with them. */
  begun: Promise<void>;
  /** Lets those that wait go on, and all others pass from now on. */
  release(): void;
}

function isOf(node: RootOperationNode, table: keyof OrganizationTables): boolean {
  return node.kind === 'SelectQueryNode' && JSON.stringify(node.from ?? {}).includes(`"name":"${table}"`);
}

/** Holds reads of one table after they took their rows from the database, so that something can happen in between. */
export function holdReads(store: Readable, table: keyof OrganizationTables): HeldReads {
  const { read } = store;
  const held = new WeakSet<object>();
  const begun = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  store.read = read.withPlugin({
    transformQuery({ node, queryId }) {
      if (isOf(node, table)) held.add(queryId);
      return node;
    },
    async transformResult({ result, queryId }): Promise<typeof result & { rows: UnknownRow[] }> {
      if (held.has(queryId)) {
        begun.resolve();
        await released.promise;
      }
      return result;
    },
  });
  const release = (): void => {
    store.read = read;
    released.resolve();
  };
  return { begun: begun.promise, release };
}
