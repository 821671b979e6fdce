import type { ChannelLog } from "./channel-log.ts";
import type { FeedMessage, ResetMessage } from "./feed-message.ts";
import { packetOf } from "./packets.ts";
import type { LocalChannel } from "./local-channel.ts";
import { recoveryFrom } from "./recovery.ts";
import type { Position } from "../protocol/scalars.ts";
import type { LogEntry, LogSlice, StreamPosition } from "./log-entry.ts";
import type { Publication } from "./publication.ts";
import type { Subscriber } from "./subscribers.ts";

/** How a gap ended: filled from the log, reported to subscribers, or postponed because Redis is unavailable. */
export type GapOutcome = "repaired" | "told" | "deferred";

export interface GapRepairDeps {
  log: ChannelLog;
  /** Every channel this node is subscribed to. */
  channels: () => Iterable<LocalChannel>;
  /** These subscribers missed publications before `from` that are gone, and must be notified. */
  onLost: (channel: string, subscribers: readonly Subscriber[], from: Position) => void;
  /** Whether the subscription continues after lost publications instead of ending. */
  continues: (channel: string, subscriber: Subscriber) => boolean;
  onGap: (outcome: GapOutcome) => void;
  /** Calls back later, after a failed attempt. */
  retryLater: (run: () => void) => void;
  /** False while this node may not deliver, because it may have missed revocations. Call `repair` when it may again. */
  mayDeliver: () => boolean;
}

interface ChannelMessage {
  channel: LocalChannel;
  message: FeedMessage;
}

/** Max messages and bytes that wait for a repair. Further ones are dropped and read from the log by the next repair. */
const maxWaiting = 20_000;
const maxWaitingBytes = 32 * 1_048_576;

/** Max logs read at the same time. */
const maxConcurrentReads = 500;

/**
 * Delivers feed messages in offset order within a channel, and in timestamp order over all channels.
 *
 * The feed is one ordered connection, so a gap in one channel means that the connection lost something, and every
 * channel is read again. Meanwhile new messages wait. What the logs contain is delivered by timestamp, up to the last
 * timestamp assigned when the reading began; later publications follow, in order, from the waiting messages. On
 * Cluster there is no order over channels.
 */
export class GapRepair {
  readonly #deps: GapRepairDeps;
  #waiting: ChannelMessage[] = [];
  #waitingBytes = 0;
  #isRepairing = false;
  #mustRepairAgain = false;
  #lastTimestamp = 0;

  constructor(deps: GapRepairDeps) {
    this.#deps = deps;
  }

  /** Everything up to this timestamp was passed to its channels, or was in the log before this node had subscribers. */
  get lastTimestamp(): number {
    return this.#lastTimestamp;
  }

  /** Call before anybody has subscribed: everything published so far is in the log. */
  async begin(): Promise<void> {
    this.#noteTimestamp(await this.#deps.log.lastTimestamp());
  }

  receive = (channel: LocalChannel, message: FeedMessage): void => {
    if (this.#isRepairing || !this.#deps.mayDeliver()) return this.#hold(channel, message);
    const placement = channel.place(message);
    if (placement === "next") return this.#advance(channel, message);
    if (placement === "repeat") return;
    this.#hold(channel, message);
    this.repair();
  };

  /** The channel's log was removed; its subscribers have to subscribe again. */
  reset = (channel: LocalChannel, { epoch, timestamp }: ResetMessage): void => {
    if (this.#isRepairing) this.#mustRepairAgain = true;
    else if (this.#deps.mayDeliver() && channel.position?.epoch !== epoch)
      this.#skipTo(channel, { epoch, offset: 0, timestamp });
  };

  /** Reads every channel's log again: after a lost connection, or when a message reveals a gap. */
  repair(): void {
    if (this.#isRepairing) this.#mustRepairAgain = true;
    else this.#attempt();
  }

  /**
   * Whether this node may stop following a channel: not before it has confirmed its position to a Redis that came back, or
   * that may have been another one since a connection was lost.
   */
  mayLeave(channel: string): boolean {
    if (this.#isRepairing || !this.#deps.mayDeliver()) return false;
    const isConfirmed = this.#deps.log.isRunKnown(channel);
    if (!isConfirmed) this.repair();
    return isConfirmed;
  }

  #attempt(): void {
    this.#isRepairing = true;
    this.#mustRepairAgain = false;
    this.#readAll().catch(() => {
      this.#deps.onGap("deferred");
      this.#deps.retryLater(() => this.#attempt());
    });
  }

  async #readAll(): Promise<void> {
    if (!this.#deps.mayDeliver()) return this.#confirm();
    const suspects = this.#takeWaiting();
    try {
      const upTo = await this.#deps.log.lastTimestamp();
      const channels = [...this.#deps.channels()].filter(({ position }) => position !== undefined);
      const missed: ChannelMessage[] = [];
      for (let start = 0; start < channels.length; start += maxConcurrentReads) {
        const reads = channels.slice(start, start + maxConcurrentReads).map((channel) => this.#read(channel));
        missed.push(...(await Promise.all(reads)).flat());
      }
      this.#deliver(
        missed.filter(({ message }) => message.timestamp <= upTo),
        suspects,
      );
    } catch (error) {
      for (const { channel, message } of [...suspects, ...this.#takeWaiting()]) this.#hold(channel, message);
      throw error;
    }
  }

  /** A fenced node delivers nothing, but a new run of Redis waits only a moment for nodes to confirm positions. */
  async #confirm(): Promise<void> {
    const channels = [...this.#deps.channels()];
    for (let start = 0; start < channels.length; start += maxConcurrentReads)
      await Promise.all(channels.slice(start, start + maxConcurrentReads).map((channel) => this.#slice(channel)));
    throw new Error("this node is fenced");
  }

  async #slice(channel: LocalChannel): Promise<LogSlice | undefined> {
    const { position } = channel;
    if (position === undefined) return undefined;
    return this.#deps.log.read(channel.name, channel.history, {
      kind: "since",
      position,
      expectedTimestamp: position.timestamp,
    });
  }

  async #read(channel: LocalChannel): Promise<ChannelMessage[]> {
    const position = channel.position;
    const slice = await this.#slice(channel);
    if (position === undefined || slice === undefined) return [];
    const isWhole = recoveryFrom(slice, position).recovered;
    if (!isWhole || slice.entries.length > 0) this.#deps.onGap(isWhole ? "repaired" : "told");
    const messages = isWhole ? toMessages(slice, position.timestamp) : await this.#skip(channel, position, slice);
    return messages.map((message) => ({ channel, message }));
  }

  /** Subscriptions that continue receive what is left after the loss. */
  async #skip(channel: LocalChannel, lastKnown: Position, head: LogSlice): Promise<FeedMessage[]> {
    const continues = channel.subscribers.some((subscriber) => this.#deps.continues(channel.name, subscriber));
    const slice = continues && head.offset > 0 ? await this.#readLatest(channel) : { ...head, entries: [] };
    const entries = slice.entries.filter((entry) => isAfterLoss(entry, slice, lastKnown));
    const { offset, timestamp } = entries[0] ?? { offset: slice.offset + 1, timestamp: slice.timestamp + 1 };
    this.#skipTo(channel, { epoch: slice.epoch, offset: offset - 1, timestamp: timestamp - 1 });
    return toMessages({ ...slice, entries }, timestamp - 1);
  }

  #readLatest({ name, history }: LocalChannel): Promise<LogSlice> {
    return this.#deps.log.read(name, history, { kind: "latest", limit: history.size });
  }

  #skipTo(channel: LocalChannel, from: StreamPosition): void {
    const missing = channel.skipTo(from);
    if (missing.length > 0) this.#deps.onLost(channel.name, missing, from);
  }

  #deliver(missed: ChannelMessage[], suspects: ChannelMessage[]): void {
    for (const { channel, message } of missed.toSorted(byTimestamp))
      if (channel.place(message) === "next") this.#advance(channel, message);
    this.#isRepairing = false;
    // A suspect arrived before the reading. If it still does not fit, it was forged, or Redis has lost it.
    const waiting = this.#takeWaiting();
    for (const { channel, message } of suspects) if (channel.place(message) === "next") this.#advance(channel, message);
    for (const { channel, message } of waiting) this.receive(channel, message);
    if (this.#mustRepairAgain) this.repair();
  }

  #advance(channel: LocalChannel, message: FeedMessage): void {
    channel.advance(message);
    this.#noteTimestamp(message.timestamp);
  }

  /** Cluster has no common last timestamp. */
  #noteTimestamp(timestamp: number): void {
    if (timestamp > this.#lastTimestamp && timestamp !== Infinity) this.#lastTimestamp = timestamp;
  }

  #hold(channel: LocalChannel, message: FeedMessage): void {
    if (this.#waiting.length >= maxWaiting || this.#waitingBytes + message.packet.length > maxWaitingBytes) {
      this.#mustRepairAgain = true;
      return;
    }
    this.#waiting.push({ channel, message });
    this.#waitingBytes += message.packet.length;
  }

  #takeWaiting(): ChannelMessage[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return waiting;
  }
}

/** Publications of earlier generations were sent, as far as they were not lost. */
function isAfterLoss({ offset, json }: LogEntry, { epoch }: LogSlice, lastKnown: Position): boolean {
  if (epoch === lastKnown.epoch) return offset > lastKnown.offset;
  return (JSON.parse(json) as Publication).epoch === epoch;
}

/** The messages that the feed would have delivered. */
function toMessages({ epoch, entries }: LogSlice, timestampBefore: number): FeedMessage[] {
  return entries.map((entry, index) => {
    const previousTimestamp = entries[index - 1]?.timestamp ?? timestampBefore;
    return {
      epoch,
      offset: entry.offset,
      timestamp: entry.timestamp,
      previousTimestamp,
      packet: packetOf(entry),
      except: entry.except,
    };
  });
}

const byTimestamp = (a: ChannelMessage, b: ChannelMessage): number => a.message.timestamp - b.message.timestamp;
