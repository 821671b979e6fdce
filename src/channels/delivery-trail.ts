import type { Position } from "../protocol/scalars.ts";

/** The end of what a connection was sent, in the order in which it was written. */
export interface DeliveryTrail {
  /** The stamp the client came with: then it has read nothing of `sent`. Undefined where `sent` does not begin there. */
  since?: number | undefined;
  /** Only a later stamp than this can be one of `sent`. */
  after: number;
  /** What the connection reads: from where, and where it stands once it has read all of `sent`. */
  channels: { name: string; epoch: string; begun: number; end: number }[];
  /** `[index in channels, offset, stamp]` of each publication. */
  sent: Sent[];
}

type Sent = [index: number, offset: number, stamp: number];

/** One publication that was sent. */
export interface Delivery extends Position {
  channel: string;
  stamp: number;
}

/** How a connection began, before it was sent what its node delivers to all subscribers. */
export interface Beginning {
  /** `RecentDeliveries.mark` at that time. */
  mark: number;
  /** The stamp its client handed back. */
  since: number;
  /** What the client had missed, in the order in which it was sent. */
  missed: readonly Delivery[];
  /** The positions after that. */
  positions: ReadonlyMap<string, Position>;
}

/** A channel that a connection reads. */
export interface TrailChannel {
  begun: Position;
  /** Up to where this node has passed it on. */
  passed: Position;
}

/** Publications that a node remembers, and the most that a trail has of them. */
const maxRemembered = 2_048;
const maxSent = 128;

/**
 * What this node has passed to subscribers lately, over all channels in order. On a Cluster stamps do not order what
 * different shards published, so the stamp of the last publication a client read does not tell what it read of other
 * channels; the order in which its node wrote them does.
 */
export class RecentDeliveries {
  readonly #deliveries: Delivery[] = [];
  #count = 0;

  note(delivery: Delivery): void {
    this.#deliveries[this.#count++ % maxRemembered] = delivery;
  }

  /** To be asked for before anything is passed on to the connection. */
  get mark(): number {
    return this.#count;
  }

  trailOf(reads: ReadonlyMap<string, TrailChannel>, { mark, since, missed, positions }: Beginning): DeliveryTrail {
    const floors = new Map([...reads].map(([name, { begun }]) => [name, laterOf(begun, positions.get(name))]));
    const isRead = ({ channel, epoch }: Delivery): boolean => floors.get(channel)?.epoch === epoch;
    const passed = this.#passedSince(mark).filter(
      (delivery) => isRead(delivery) && delivery.offset > (floors.get(delivery.channel) as Position).offset,
    );
    const isWhole = this.#count - mark <= maxRemembered && missed.length + passed.length <= maxSent;
    const latestMissed = missed.reduce((latest, { stamp }) => Math.max(latest, stamp), since);
    const indexes = new Map([...reads.keys()].map((name, index) => [name, index]));
    const toSent = ({ channel, offset, stamp }: Delivery): Sent => [indexes.get(channel) as number, offset, stamp];
    return {
      ...(isWhole ? { since, after: 0 } : { after: latestMissed }),
      channels: [...reads].map(([name, { begun, passed: end }]) => {
        const { epoch, offset } = laterOf(floors.get(name) as Position, end);
        return { name, epoch, begun: begun.offset, end: offset };
      }),
      sent: [...(isWhole ? missed.filter(isRead) : []), ...passed.slice(-maxSent)].map(toSent),
    };
  }

  #passedSince(mark: number): Delivery[] {
    const from = Math.max(mark, this.#count - maxRemembered);
    return Array.from(
      { length: this.#count - from },
      (_, n) => this.#deliveries[(from + n) % maxRemembered] as Delivery,
    );
  }
}

/**
 * Pure: where a client stands in each channel that has read the publication stamped `stamp`, and nothing that was written
 * behind it. Undefined where the trail does not say.
 */
export function positionsAt(
  { since, after, channels, sent }: DeliveryTrail,
  stamp: number,
): Map<string, Position> | undefined {
  const last = stamp > after ? sent.findIndex(([, , sentStamp]) => sentStamp === stamp) : -1;
  if (last === -1 && stamp !== since) return undefined;
  const unread = new Map<number, number>();
  for (const [index, offset] of stamp === since ? sent : sent.slice(last + 1))
    if (!unread.has(index)) unread.set(index, offset);
  return new Map(
    channels.map(({ name, epoch, begun, end }, index) => {
      const next = unread.get(index);
      return [name, { epoch, offset: Math.max(begun, next === undefined ? end : next - 1) }];
    }),
  );
}

const laterOf = (position: Position, other: Position | undefined): Position =>
  other?.epoch === position.epoch && other.offset > position.offset ? other : position;
