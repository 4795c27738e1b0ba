import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CompiledQuery, type DatabaseConnection, Kysely, PostgresDialect, PostgresDriver } from 'kysely';
import pg from 'pg';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { GroupedStore, type Migration, type PinnedView, type Store } from './database.ts';
import { type Applied, digestOf, forPostgres, missingSteps } from './migrate.ts';

/** Connections of one store that read at the same time; one more writes. */
export const readersMax = 6;
const connectTimeoutMs = 10_000;
/** A statement that takes longer is ended: nothing that a node asks takes a hundredth of it. */
const statementTimeoutMs = 60_000;
/** What hangs on the way is given up after this. */
const queryTimeoutMs = 75_000;
/** `salus` in ASCII: keeps our advisory locks apart from those of others in the same database. */
const lockSpace = 0x7361_6c75;
const lockWaitMsMax = 2_000;
const lockLookMs = 50;
/** PostgreSQL cuts names of schemas at 63 bytes. */
const schemaBytesMax = 63;
const int8Oid = 20;

export interface PostgresLocation {
  /** `postgres://user@host:port/database?sslmode=verify-full`; a password is better in PGPASSWORD or a password file. */
  url: string;
  /** One schema per store. */
  schema: string;
  /** Whose rows these are; a schema that holds another's is refused. */
  owner: string;
  migrations: readonly Migration[];
}

/** Errors of the connection, as libpq numbers them (PostgreSQL, appendix A: classes 08, 53, 57P, 28, 3D), and of sockets. */
const unavailable = /^(08...|53...|57P..|28...|3D...|E[A-Z]+)$/;
const lostConnection = /terminated|timeout|Client has encountered a connection error|not queryable|driver has already/i;

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return unavailable.test(code) || lostConnection.test(error.message) || error instanceof AggregateError;
}

/** What went wrong with the database, as a numbered error without what it was asked. */
export function asStoreFault(error: unknown): unknown {
  return isUnavailable(error) ? new NodeFault(NodeErrorCodes.storeUnavailable, undefined, { cause: error }) : error;
}

/** The same of a connection that was not made: a wrong password, host or certificate comes from the driver under many names. */
function asConnectFault(error: unknown): unknown {
  const isOfStatement = error instanceof pg.DatabaseError && !isUnavailable(error);
  if (error instanceof NodeFault || isOfStatement) return error;
  return new NodeFault(NodeErrorCodes.storeUnavailable, undefined, { cause: error });
}

/** Every fault of the database is a numbered one, wherever the query was made. */
class NumberedDriver extends PostgresDriver {
  readonly #known = new WeakSet<DatabaseConnection>();

  override async acquireConnection(options?: Parameters<PostgresDriver['acquireConnection']>[0]) {
    try {
      const connection = await super.acquireConnection(options);
      if (!this.#known.has(connection)) {
        this.#known.add(connection);
        const execute = connection.executeQuery.bind(connection);
        connection.executeQuery = async (query, ...rest) => {
          try {
            return await execute(query, ...rest);
          } catch (error) {
            throw asStoreFault(error);
          }
        };
      }
      return connection;
    } catch (error) {
      throw asConnectFault(error);
    }
  }
}

class NumberedDialect extends PostgresDialect {
  readonly #pool: pg.Pool;
  constructor(pool: pg.Pool) {
    super({ pool });
    this.#pool = pool;
  }
  override createDriver(): PostgresDriver {
    return new NumberedDriver({ pool: this.#pool });
  }
}

/** Counts and sequences fit a number of JavaScript's: nothing here counts to 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => (oid === int8Oid ? Number : pg.types.getTypeParser(oid, format)),
};

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The server gives the lock of a connection up that was cut off, so that the node gets it again: in seconds, not in hours. */
const lockEndsSoon = `SET tcp_keepalives_idle TO 10; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3;
  SET tcp_user_timeout TO 25000`;

function searchPath(schema: string): string {
  return `SET search_path TO ${quoted(schema)}`;
}

interface PoolInput {
  url: string;
  max: number;
  onConnect(client: pg.ClientBase): Promise<void>;
}

interface OpenPool {
  pool: pg.Pool;
  end(): Promise<void>;
}

function openPool({ url, max, onConnect }: PoolInput): OpenPool {
  const sockets = new Set<Socket>();
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'salus',
    max,
    types,
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: queryTimeoutMs,
    async onConnect(client) {
      // A connection that ends while it is used fails the query that waits for it; without a listener it would end the process.
      client.on('error', () => undefined);
      await onConnect(client);
    },
    stream() {
      const socket = new Socket();
      sockets.add(socket);
      return socket.once('close', () => sockets.delete(socket));
    },
    // The one that writes holds the lock: it stays open.
    ...(max === 1 && { idleTimeoutMillis: 0 }),
  });
  // An idle connection that ends is replaced when the next is asked for.
  pool.on('error', () => undefined);
  return {
    pool,
    async end() {
      await pool.end();
      // The driver leaves those open of which it did not become a connection, for a wrong password as an example.
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A second process learns soon that the first is there; the server takes a moment to see that a connection has ended. */
async function lock(client: pg.ClientBase, schema: string): Promise<void> {
  const sql = 'SELECT pg_try_advisory_lock($1, hashtext($2)) AS held';
  const untilMs = performance.now() + lockWaitMsMax;
  for (;;) {
    const { rows } = await client.query<{ held: boolean }>(sql, [lockSpace, schema]);
    if (rows[0]?.held === true) return;
    if (performance.now() >= untilMs)
      throw new NodeFault(NodeErrorCodes.storeTaken, `Another process writes to the schema ${schema}.`);
    await sleep(lockLookMs);
  }
}

async function prepareSchema(client: pg.ClientBase, { schema, owner, migrations }: PostgresLocation): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`);
    await client.query('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, digest TEXT NOT NULL)');
    await client.query('CREATE TABLE IF NOT EXISTS store_owner (owner TEXT PRIMARY KEY)');
    const owners = await client.query<{ owner: string }>('SELECT owner FROM store_owner');
    if (owners.rows.some((row) => row.owner !== owner)) throw new NodeFault(NodeErrorCodes.storeForeign);
    if (owners.rows.length === 0) await client.query('INSERT INTO store_owner VALUES ($1)', [owner]);
    const applied = await client.query<Applied>('SELECT name, digest FROM migrations');
    for (const { name, sql } of missingSteps(applied.rows, migrations)) {
      await client.query(forPostgres(sql));
      await client.query('INSERT INTO migrations VALUES ($1, $2)', [name, digestOf(sql)]);
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** A view of a schema, on a connection of its own; nobody waits for it. */
export async function pinPostgres<Tables>(url: string, schema: string): Promise<PinnedView<Tables>> {
  const { pool, end: endPool } = openPool({
    ...{ url, max: 1 },
    onConnect: async (client) => void (await client.query(searchPath(schema))),
  });
  const db = new Kysely<Tables>({ dialect: new NumberedDialect(pool) });
  try {
    const view = await db.startTransaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute();
    // The view begins with its first read.
    await view.executeQuery(CompiledQuery.raw('SELECT 1 FROM migrations LIMIT 1'));
    const end = async () => {
      await view.rollback().execute();
      await endPool();
    };
    return { read: view, end };
  } catch (error) {
    await endPool();
    throw error;
  }
}

/** Removes a store for good. */
export async function dropPostgresStore({ url, schema }: { url: string; schema: string }): Promise<void> {
  const { pool, end: endPool } = openPool({
    ...{ url, max: 1 },
    onConnect: async (client) => void (await client.query(searchPath(schema))),
  });
  try {
    await pool.query(`DROP SCHEMA IF EXISTS ${quoted(schema)} CASCADE`);
  } catch (error) {
    throw asStoreFault(error);
  } finally {
    await endPool();
  }
}

/**
 * Opens or creates a store in a schema of a PostgreSQL database. What `commit` answered is on the server's disk
 * (`synchronous_commit` is on, whatever the database's default). Throws `storeUnavailable`, `storeTaken` while another
 * process writes there, `storeForeign` for somebody else's rows, and `storeVersion` for those of a newer version.
 */
export async function openPostgresStore<Tables>(location: PostgresLocation): Promise<Store<Tables>> {
  const { url, schema } = location;
  if (Buffer.byteLength(schema) > schemaBytesMax)
    throw new NodeFault(NodeErrorCodes.inputInvalid, 'The schema’s name is too long.');
  let isPrepared = false;
  const writers = openPool({
    url,
    max: 1,
    async onConnect(client) {
      await client.query(`${searchPath(schema)}; SET synchronous_commit TO on; ${lockEndsSoon}`);
      // Whoever holds the lock writes; a connection that was lost and comes back finds out whether it still may.
      await lock(client, schema);
      if (!isPrepared) await prepareSchema(client, location);
      isPrepared = true;
    },
  });
  const readers = openPool({
    url,
    max: readersMax,
    onConnect: async (client) => void (await client.query(searchPath(schema))),
  });
  const write = new Kysely<Tables>({ dialect: new NumberedDialect(writers.pool) });
  const read = new Kysely<Tables>({ dialect: new NumberedDialect(readers.pool) });
  const end = async () => {
    await Promise.all([readers.end(), writers.end()]);
  };
  try {
    await write.executeQuery(CompiledQuery.raw('SELECT 1'));
  } catch (error) {
    await end();
    throw error;
  }
  return new GroupedStore({ kind: 'postgres', read, write, end });
}
