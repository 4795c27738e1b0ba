import type { Migration } from '../store/database.ts';

export const peerMigrations: readonly Migration[] = [
  {
    name: '0012-peers',
    sql: `
      CREATE TABLE peer_links (
        peer TEXT PRIMARY KEY,
        epoch TEXT NOT NULL,
        last INTEGER NOT NULL,
        acknowledged INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE peer_outbox (
        peer TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        envelope BLOB NOT NULL,
        PRIMARY KEY (peer, sequence)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE peer_inbox (
        peer TEXT PRIMARY KEY,
        epoch TEXT NOT NULL,
        up_to INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
