import { inboxMigrations, inboxRetryMigrations } from '../access/inbox.ts';
import { linkingMigrations } from '../access/linking.ts';
import { relationshipMigrations } from '../access/relationships.ts';
import { accountingMigrations } from '../gate/accounting-index.ts';
import { contentMigrations } from '../gate/content-store.ts';
import { logHeadMigrations } from '../gate/log-anchor.ts';
import { staffMigrations } from '../orgs/staff-directory.ts';
import { peerMigrations } from '../peers/migrations.ts';
import { recordMigrations } from '../records/migrations.ts';
import type { Migration } from './database.ts';

/** The layout of an organisation's store, step by step. New tables are new steps at the end. */
export const organizationMigrations: readonly Migration[] = [
  {
    name: '0001-notices',
    sql: `
      CREATE TABLE notices (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        type TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        data TEXT NOT NULL
      ) STRICT;
      CREATE INDEX notices_by_topic ON notices (topic, seq);
      CREATE TABLE cursors (name TEXT PRIMARY KEY, position TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
  },
  {
    name: '0002-outbox',
    sql: `
      CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        payload BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_ms INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE INDEX outbox_by_queue ON outbox (queue, seq);
    `,
  },
  ...recordMigrations,
  ...contentMigrations,
  ...relationshipMigrations,
  ...linkingMigrations,
  ...accountingMigrations,
  ...inboxMigrations,
  ...staffMigrations,
  ...inboxRetryMigrations,
  ...logHeadMigrations,
  ...peerMigrations,
  { name: '0013-no-outbox', sql: 'DROP TABLE outbox;' },
];
