import type { Position } from "../protocol/scalars.ts";

/** The end of what a connection was sent, in the order in which it was written. */
export interface DeliveryTrail {
  /** The timestamp the client came with: then it has read nothing of `sent`. Undefined where `sent` does not begin there. */
  since?: number | undefined;
  /** Only a later timestamp than this can be one of `sent`. */
  after: number;
  /** What the connection starts: from where, and where it stands once it has read all of `sent`. */
  channels: { name: string; epoch: string; start: number; end: number }[];
  /** `[index in channels, offset, timestamp]` of each publication. */
  sent: Sent[];
}

type Sent = [index: number, offset: number, timestamp: number];

/** One publication that was sent. */
export interface Delivery extends Position {
  channel: string;
  timestamp: number;
}

/** How a connection began, before it was sent what its node delivers to all subscribers. */
export interface DeliveryStart {
  /** `RecentDeliveries.mark` at that time. */
  deliveryCount: number;
  /** The timestamp its client handed back. */
  since: number;
  /** What the client had missed, in the order in which it was sent. */
  missed: readonly Delivery[];
  /** The positions after that. */
  positions: ReadonlyMap<string, Position>;
}

/** A channel that a connection starts. */
export interface TrailChannel {
  start: Position;
  /** Up to where this node has passed it on. */
  delivered: Position;
}

/** Publications that a node remembers, and the most that a trail has of them. */
const maxRemembered = 2_048;
const maxSent = 128;

/**
 * What this node has passed to subscribers lately, over all channels in order. On a Cluster timestamps do not order what
 * different shards published, so the timestamp of the last publication a client read does not tell what it read of other
 * channels; the order in which its node wrote them does.
 */
export class RecentDeliveries {
  readonly #deliveries: Delivery[] = [];
  #count = 0;

  note(delivery: Delivery): void {
    this.#deliveries[this.#count++ % maxRemembered] = delivery;
  }

  /** To be asked for before anything is passed on to the connection. */
  get count(): number {
    return this.#count;
  }

  trailOf(
    starts: ReadonlyMap<string, TrailChannel>,
    { deliveryCount: mark, since, missed, positions }: DeliveryStart,
  ): DeliveryTrail {
    const floors = new Map([...starts].map(([name, { start }]) => [name, laterOf(start, positions.get(name))]));
    const isRead = ({ channel, epoch }: Delivery): boolean => floors.get(channel)?.epoch === epoch;
    const passed = this.#passedSince(mark).filter(
      (delivery) => isRead(delivery) && delivery.offset > (floors.get(delivery.channel) as Position).offset,
    );
    const isWhole = this.#count - mark <= maxRemembered && missed.length + passed.length <= maxSent;
    const latestMissed = missed.reduce((latest, { timestamp }) => Math.max(latest, timestamp), since);
    const indexes = new Map([...starts.keys()].map((name, index) => [name, index]));
    const toSent = ({ channel, offset, timestamp }: Delivery): Sent => [
      indexes.get(channel) as number,
      offset,
      timestamp,
    ];
    return {
      ...(isWhole ? { since, after: 0 } : { after: latestMissed }),
      channels: [...starts].map(([name, { start, delivered: end }]) => {
        const { epoch, offset } = laterOf(floors.get(name) as Position, end);
        return { name, epoch, start: start.offset, end: offset };
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
 * Pure: where a client stands in each channel that has read the publication timestamped `timestamp`, and nothing that was written
 * behind it. Undefined where the trail does not say.
 */
export function positionsAt(
  { since, after, channels, sent }: DeliveryTrail,
  timestamp: number,
): Map<string, Position> | undefined {
  const last = timestamp > after ? sent.findIndex(([, , sentTimestamp]) => sentTimestamp === timestamp) : -1;
  if (last === -1 && timestamp !== since) return undefined;
  const unread = new Map<number, number>();
  for (const [index, offset] of timestamp === since ? sent : sent.slice(last + 1))
    if (!unread.has(index)) unread.set(index, offset);
  return new Map(
    channels.map(({ name, epoch, start, end }, index) => {
      const next = unread.get(index);
      return [name, { epoch, offset: Math.max(start, next === undefined ? end : next - 1) }];
    }),
  );
}

const laterOf = (position: Position, other: Position | undefined): Position =>
  other?.epoch === position.epoch && other.offset > position.offset ? other : position;
