import type { Position } from "../protocol/scalars.ts";

/** The last deliveries to a connection, in the order in which they were written. */
export interface DeliveryTrail {
  /** The timestamp the client connected with, before any of `sent`. Undefined if `sent` does not reach back that far. */
  since?: number | undefined;
  /** All timestamps in `sent` are later than this. */
  after: number;
  /** What the connection starts: from where, and where it stands once it has read all of `sent`. */
  channels: { name: string; epoch: string; start: number; end: number }[];
  /** `[index in channels, offset, timestamp]` of each publication. */
  sent: Sent[];
}

type Sent = [index: number, offset: number, timestamp: number];

/** One delivered publication. */
export interface Delivery extends Position {
  channel: string;
  timestamp: number;
}

/** What a connection was sent when it began, before its node delivered live publications to it. */
export interface DeliveryStart {
  /** `RecentDeliveries.count` at that time. */
  deliveryCount: number;
  /** The timestamp that its client sent. */
  since: number;
  /** The missed publications it was sent, in order. */
  missed: readonly Delivery[];
  /** Its positions after these. */
  positions: ReadonlyMap<string, Position>;
}

/** A channel that a connection starts. */
export interface TrailChannel {
  start: Position;
  /** Up to where this node has delivered. */
  delivered: Position;
}

/** Deliveries that a node keeps, and the max number in a trail. */
const maxRemembered = 2_048;
const maxSent = 128;

/**
 * The latest deliveries of this node over all channels, in order. On a Cluster, timestamps do not order publications of
 * different shards, so the timestamp of the last publication a client received says nothing about other channels; the
 * order in which its node wrote them does.
 */
export class RecentDeliveries {
  readonly #deliveries: Delivery[] = [];
  #count = 0;

  note(delivery: Delivery): void {
    this.#deliveries[this.#count++ % maxRemembered] = delivery;
  }

  /** Deliveries so far. Read it before anything is delivered to a connection. */
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
 * Pure: the positions of a client that received the publication with this timestamp and none after it. Undefined if the
 * trail does not contain it.
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
