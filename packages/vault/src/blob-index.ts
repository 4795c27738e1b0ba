import { fromHex, toHex } from '@salus/protocol';
import { vaultError } from './errors.ts';
import { Database, numberOf, type Row } from './sqlite.ts';

/** "SALB" in the file header marks a blob store's index. */
const applicationId = 0x53414c42;
const schemaVersion = 1;

/** Where a blob lies: `pack` 0 is a file of its own. */
export type BlobPlace = { address: string; pack: number; position: number; bytes: number };
export type PackEnd = { pack: number; bytes: number };

/** A blob counts as present only in state 1; the others are finished or undone when the store opens. */
const state = { present: 1, arriving: 2, leaving: 3 } as const;

const schema = `
  CREATE TABLE blobs (
    address BLOB PRIMARY KEY, pack INTEGER NOT NULL, position INTEGER NOT NULL, bytes INTEGER NOT NULL,
    state INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX blobs_by_place ON blobs (pack, position);
  CREATE INDEX blobs_unfinished ON blobs (state) WHERE state <> ${state.present};
  CREATE TABLE packs (pack INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, dead INTEGER NOT NULL);
`;
function placeOf(row: Row): BlobPlace {
  if (!(row.address instanceof Uint8Array)) throw vaultError('storeDamaged');
  return {
    address: toHex(row.address),
    pack: numberOf(row, 'pack'),
    position: numberOf(row, 'position'),
    bytes: numberOf(row, 'bytes'),
  };
}

/** The index of a blob store: what is not in it does not exist. Every change is durable when the method returns. */
export class BlobIndex {
  readonly #database: Database;

  constructor(path: string) {
    this.#database = new Database(path, { applicationId, schemaVersion, schema });
  }

  find(address: string): BlobPlace | undefined {
    const sql = 'SELECT address, pack, position, bytes FROM blobs WHERE address = ? AND state = ?';
    const row = this.#database.get(sql, fromHex(address), state.present);
    return row && placeOf(row);
  }

  /** The frames of one batch and the pack's new end. */
  addPacked(places: readonly BlobPlace[], end: PackEnd): void {
    this.#database.transaction(() => this.#enter(places, end));
  }

  /** Frames that were copied out of another pack, where they are dead from now on. */
  movePacked(places: readonly BlobPlace[], end: PackEnd, from: { pack: number; deadBytes: number }): void {
    this.#database.transaction(() => {
      this.#enter(places, end);
      this.#database.run('UPDATE packs SET dead = dead + ? WHERE pack = ?', from.deadBytes, from.pack);
    });
  }

  #enter(places: readonly BlobPlace[], { pack, bytes }: PackEnd): void {
    for (const place of places) this.#put(place, state.present);
    const sql = 'INSERT INTO packs VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET bytes = excluded.bytes';
    this.#database.run(sql, pack, bytes);
  }

  /** A file of its own is announced before it gets its name, so that a crash leaves none that nobody knows. */
  announceFile(address: string, bytes: number): void {
    this.#put({ address, pack: 0, position: 0, bytes }, state.arriving);
  }

  confirmFile(address: string): void {
    this.#database.run('UPDATE blobs SET state = ? WHERE address = ?', state.present, fromHex(address));
  }

  markLeaving(addresses: readonly string[]): BlobPlace[] {
    return this.#database.transaction(() => {
      const places = addresses.map((address) => this.find(address)).filter((place) => place !== undefined);
      const sql = 'UPDATE blobs SET state = ? WHERE address = ?';
      for (const { address } of places) this.#database.run(sql, state.leaving, fromHex(address));
      return places;
    });
  }

  remove(places: readonly BlobPlace[], frameBytes: (place: BlobPlace) => number): void {
    this.#database.transaction(() => {
      for (const place of places) {
        this.#database.run('DELETE FROM blobs WHERE address = ?', fromHex(place.address));
        if (place.pack === 0) continue;
        this.#database.run('UPDATE packs SET dead = dead + ? WHERE pack = ?', frameBytes(place), place.pack);
      }
    });
  }

  /** What a crash left between two steps. */
  unfinished(): { arriving: BlobPlace[]; leaving: BlobPlace[] } {
    const sql = 'SELECT address, pack, position, bytes FROM blobs WHERE state = ? AND state <> 1';
    return {
      arriving: this.#database.all(sql, state.arriving).map(placeOf),
      leaving: this.#database.all(sql, state.leaving).map(placeOf),
    };
  }

  lastPack(): PackEnd | undefined {
    const row = this.#database.get('SELECT pack, bytes FROM packs ORDER BY pack DESC LIMIT 1');
    return row && { pack: numberOf(row, 'pack'), bytes: numberOf(row, 'bytes') };
  }

  packs(): (PackEnd & { dead: number })[] {
    return this.#database.all('SELECT pack, bytes, dead FROM packs ORDER BY pack').map((row) => ({
      pack: numberOf(row, 'pack'),
      bytes: numberOf(row, 'bytes'),
      dead: numberOf(row, 'dead'),
    }));
  }

  /** Present blobs by place, a page at a time. */
  page(after: { pack: number; position: number; address: string } | undefined, limit: number): BlobPlace[] {
    const { pack, position, address } = after ?? { pack: -1, position: -1, address: '' };
    const sql = `SELECT address, pack, position, bytes FROM blobs
      WHERE (pack, position, address) > (?, ?, ?) AND state = ? ORDER BY pack, position, address LIMIT ?`;
    return this.#database.all(sql, pack, position, fromHex(address), state.present, limit).map(placeOf);
  }

  dropPack(pack: number): void {
    this.#database.run('DELETE FROM packs WHERE pack = ?', pack);
  }

  counts(): { blobs: number; bytes: number } {
    const row = this.#database.get(
      'SELECT count(*) AS blobs, coalesce(sum(bytes), 0) AS bytes FROM blobs WHERE state = 1',
    );
    return { blobs: numberOf(row, 'blobs'), bytes: numberOf(row, 'bytes') };
  }

  /** Whether the database is whole and every byte of every pack belongs to a blob or to a deleted one. */
  isSound(frameHeaderBytes: number): boolean {
    if (!this.#database.isSound()) return false;
    const sql = `SELECT count(*) AS n FROM packs p WHERE p.bytes <> p.dead
      + (SELECT coalesce(sum(b.bytes + ?), 0) FROM blobs b WHERE b.pack = p.pack)`;
    return numberOf(this.#database.get(sql, frameHeaderBytes), 'n') === 0;
  }

  copyTo(path: string): void {
    this.#database.copyTo(path);
  }

  close(): void {
    this.#database.close();
  }

  #put(place: BlobPlace, newState: number): void {
    const { address, pack, position, bytes } = place;
    const sql = 'INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)';
    this.#database.run(sql, fromHex(address), pack, position, bytes, newState);
  }
}
