import type { ChannelLog, LogSlice } from "./channel-log.ts";
import type { FeedMessage } from "./feed-message.ts";
import { packetOf } from "./feed.ts";
import type { LocalChannel } from "./local-channel.ts";
import { recoveryFrom } from "./recovery.ts";
import type { Subscriber } from "./subscribers.ts";

/** How a gap ended: filled from the log, told to the subscribers, or waiting for the store. */
export type GapOutcome = "repaired" | "told" | "deferred";

export interface GapRepairDeps {
  log: ChannelLog;
  /** Every channel the node follows. */
  channels: () => Iterable<LocalChannel>;
  /** What these were owed can no longer be had; they must be told. */
  onLost: (channel: string, subscribers: readonly Subscriber[]) => void;
  onGap: (outcome: GapOutcome) => void;
  /** Calls back a little later: the store was away. */
  retryLater: (run: () => void) => void;
  /** False while this node may not deliver: it may have missed revocations. `repair` is called when it may again. */
  mayDeliver: () => boolean;
}

interface ChannelMessage {
  channel: LocalChannel;
  message: FeedMessage;
}

/** Most messages and bytes that wait for a repair; what comes beyond is dropped and read from the log by the next. */
const maxWaiting = 20_000;
const maxWaitingBytes = 32 * 1_048_576;

/** Channels whose logs are read at the same time. */
const maxConcurrentReads = 500;

/**
 * Hands the feed's messages to their channels, in offset order within a channel and in timestamp order over all of them.
 *
 * The feed is one ordered connection, so a hole in one channel means that the connection lost something: then every
 * channel is read again. Until that is done new messages wait; what the logs had is passed on by timestamp, no further than
 * the last timestamp given when the reading began; later ones come, in order, from those that wait. On Cluster there is no
 * order over channels, and none is promised.
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

  /** All that is timestamped up to here has been handed to its channels, or was in the log before anybody here subscribed. */
  get lastTimestamp(): number {
    return this.#lastTimestamp;
  }

  /** Nobody has subscribed yet: what has been published so far is in the log. */
  async begin(): Promise<void> {
    this.#note(await this.#deps.log.lastTimestamp());
  }

  receive = (channel: LocalChannel, message: FeedMessage): void => {
    if (this.#isRepairing || !this.#deps.mayDeliver()) return this.#wait(channel, message);
    const placement = channel.place(message);
    if (placement === "next") return this.#handOver(channel, message);
    if (placement === "repeat") return;
    this.#wait(channel, message);
    this.repair();
  };

  /** Reads every channel's log again: after a lost connection, and where a message does not fit. */
  repair(): void {
    if (this.#isRepairing) this.#mustRepairAgain = true;
    else this.#attempt();
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
      this.#pass(
        missed.filter(({ message }) => message.timestamp <= upTo),
        suspects,
      );
    } catch (error) {
      this.#waiting.unshift(...suspects);
      throw error;
    }
  }

  /** A fenced node delivers nothing, but a new run of Redis waits only a moment for what each node was sent. */
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
    const stand = channel.position;
    const slice = await this.#slice(channel);
    if (stand === undefined || slice === undefined) return [];
    const isWhole = recoveryFrom(slice, stand).recovered;
    if (!isWhole) this.#jump(channel, slice);
    if (!isWhole || slice.entries.length > 0) this.#deps.onGap(isWhole ? "repaired" : "told");
    return isWhole ? toMessages(slice, stand.timestamp).map((message) => ({ channel, message })) : [];
  }

  #jump(channel: LocalChannel, { epoch, offset, timestamp }: LogSlice): void {
    const missing = channel.skipTo({ epoch, offset, timestamp });
    if (missing.length > 0) this.#deps.onLost(channel.name, missing);
  }

  #pass(missed: ChannelMessage[], suspects: ChannelMessage[]): void {
    for (const { channel, message } of missed.toSorted(byTimestamp))
      if (channel.place(message) === "next") this.#handOver(channel, message);
    this.#isRepairing = false;
    // A suspect came before the reading: where it still does not fit, it was forged or has been lost with the store.
    const waiting = this.#takeWaiting();
    for (const { channel, message } of suspects)
      if (channel.place(message) === "next") this.#handOver(channel, message);
    for (const { channel, message } of waiting) this.receive(channel, message);
    if (this.#mustRepairAgain) this.repair();
  }

  #handOver(channel: LocalChannel, message: FeedMessage): void {
    channel.advance(message);
    this.#note(message.timestamp);
  }

  /** On Cluster the store has no last timestamp. */
  #note(timestamp: number): void {
    if (timestamp > this.#lastTimestamp && timestamp !== Infinity) this.#lastTimestamp = timestamp;
  }

  #wait(channel: LocalChannel, message: FeedMessage): void {
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

/** What the feed would have brought. */
function toMessages({ epoch, entries }: LogSlice, timestampBefore: number): FeedMessage[] {
  return entries.map((entry, index) => {
    const previousTimestamp = entries[index - 1]?.timestamp ?? timestampBefore;
    return { epoch, offset: entry.offset, timestamp: entry.timestamp, previousTimestamp, packet: packetOf(entry) };
  });
}

const byTimestamp = (a: ChannelMessage, b: ChannelMessage): number => a.message.timestamp - b.message.timestamp;
