import type { Did } from '@salus/protocol';
import type { OrganizationStore } from '../store/tables.ts';

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
  readonly #store: OrganizationStore;

  constructor(store: OrganizationStore) {
    this.#store = store;
  }

  async upTo(sender: Did): Promise<number> {
    const query = this.#store.read.selectFrom('peer_inbox').select('up_to').where('peer', '=', sender);
    return (await query.executeTakeFirst())?.up_to ?? 0;
  }

  /** Where every sender stands. */
  async cursors(): Promise<{ sender: Did; epoch: string; upTo: number }[]> {
    const rows = await this.#store.read.selectFrom('peer_inbox').selectAll().execute();
    return rows.map(({ peer, epoch, up_to: upTo }) => ({ sender: peer as Did, epoch, upTo }));
  }

  /** Moves the cursor past a delivery whose content is durable. */
  async take(sender: Did, place: Place): Promise<Taken> {
    return await this.#store.commit(async (tx) => {
      const row = await tx.selectFrom('peer_inbox').selectAll().where('peer', '=', sender).executeTakeFirst();
      const before = row?.epoch === place.epoch ? row.up_to : 0;
      const taken = next(before, place);
      const cursor = { epoch: place.epoch, up_to: taken.upTo };
      await tx
        .insertInto('peer_inbox')
        .values({ peer: sender, ...cursor })
        .onConflict((conflict) => conflict.column('peer').doUpdateSet(cursor))
        .execute();
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
