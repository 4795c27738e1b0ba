import type { Did } from '@salus/protocol';
import type { Store } from '../store/database.ts';

/** Where one delivery stands among those of its sender. */
export interface Place {
  epoch: string;
  sequence: number;
  /** The first one that the sender still has. */
  oldest: number;
}

/** Deliveries that the sender can never make any more. */
export interface Gap {
  from: number;
  to: number;
}

export interface Taken {
  /** None up to this one is missing, but for what is lost for good. */
  upTo: number;
  gap?: Gap;
}

/**
 * Up to where an organisation has what each sender sent. The cursor moves one by one: what overtook another one is kept by
 * whoever keeps content, but does not move it, so that the sender sends what is missing.
 */
export class PeerInbox {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  upTo(sender: Did): number {
    return Number(this.#store.get('SELECT up_to FROM peer_inbox WHERE peer = ?', sender)?.up_to ?? 0);
  }

  /** Where every sender stands. */
  cursors(): { sender: Did; epoch: string; upTo: number }[] {
    const rows = this.#store.all('SELECT * FROM peer_inbox');
    return rows.map(({ peer, epoch, up_to: upTo }) => ({
      sender: String(peer) as Did,
      epoch: String(epoch),
      upTo: Number(upTo),
    }));
  }

  /** Moves the cursor past a delivery whose content is durable. */
  async take(sender: Did, place: Place): Promise<Taken> {
    return await this.#store.commit(() => {
      const row = this.#store.get('SELECT epoch, up_to FROM peer_inbox WHERE peer = ?', sender);
      const before = row?.epoch === place.epoch ? Number(row.up_to) : 0;
      const taken = next(before, place);
      this.#store
        .prepare('INSERT OR REPLACE INTO peer_inbox (peer, epoch, up_to) VALUES (?, ?, ?)')
        .run(sender, place.epoch, taken.upTo);
      return taken;
    });
  }
}

function next(before: number, { sequence, oldest }: Place): Taken {
  if (sequence === before + 1) return { upTo: sequence };
  // The sender still has what is missing, or it is a repetition: it goes on from where nothing is missing.
  if (sequence <= before || sequence !== oldest) return { upTo: before };
  return { upTo: sequence, gap: { from: before + 1, to: oldest - 1 } };
}
