import type { ChannelLog, LogSlice } from "./channel-log.ts";
import type { FeedMessage } from "./feed-message.ts";
import { packetOf } from "./feed.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import { recoveryFrom } from "./recovery.ts";
import type { Subscriber } from "./subscribers.ts";

/** How a gap ended: filled from the log, told to the subscribers, or waiting for the store. */
export type GapOutcome = "repaired" | "told" | "deferred";

export interface SequencerDeps {
  log: ChannelLog;
  /** Every channel the node follows. */
  channels: () => Iterable<FollowedChannel>;
  /** What these were owed can no longer be had; they must be told. */
  lost: (channel: string, subscribers: readonly Subscriber[]) => void;
  onGap: (outcome: GapOutcome) => void;
  /** Calls back a little later: the store was away. */
  later: (run: () => void) => void;
  /** False while this node may not deliver: it may have missed revocations. `repair` is called when it may again. */
  mayDeliver: () => boolean;
}

interface Waiting {
  channel: FollowedChannel;
  message: FeedMessage;
}

/** Most messages and bytes that wait for a repair; what comes beyond is dropped and read from the log by the next. */
const mostWaiting = 20_000;
const mostWaitingBytes = 32 * 1_048_576;

/** Channels whose logs are read at the same time. */
const readsAtOnce = 500;

/**
 * Hands the feed's messages to their channels, in offset order within a channel and in stamp order over all of them.
 *
 * The feed is one ordered connection, so a hole in one channel means that the connection lost something: then every
 * channel is read again. Until that is done new messages wait; what the logs had is passed on by stamp, no further than
 * the last stamp given when the reading began; later ones come, in order, from those that wait. On Cluster there is no
 * order over channels, and none is promised.
 */
export class Sequencer {
  readonly #deps: SequencerDeps;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isRepairing = false;
  #mustRepairAgain = false;
  #lastStamp = 0;

  constructor(deps: SequencerDeps) {
    this.#deps = deps;
  }

  /** All that is stamped up to here has been handed to its channels, or was in the log before anybody here subscribed. */
  get lastStamp(): number {
    return this.#lastStamp;
  }

  /** Nobody has subscribed yet: what has been published so far is in the log. */
  async begin(): Promise<void> {
    this.#note(await this.#deps.log.lastStamp());
  }

  receive = (channel: FollowedChannel, message: FeedMessage): void => {
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
      this.#deps.later(() => this.#attempt());
    });
  }

  async #readAll(): Promise<void> {
    if (!this.#deps.mayDeliver()) return this.#confirm();
    const suspects = this.#takeWaiting();
    try {
      const upTo = await this.#deps.log.lastStamp();
      const channels = [...this.#deps.channels()].filter(({ position }) => position !== undefined);
      const missed: Waiting[] = [];
      for (let start = 0; start < channels.length; start += readsAtOnce) {
        const reads = channels.slice(start, start + readsAtOnce).map((channel) => this.#read(channel));
        missed.push(...(await Promise.all(reads)).flat());
      }
      this.#pass(
        missed.filter(({ message }) => message.stamp <= upTo),
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
    for (let start = 0; start < channels.length; start += readsAtOnce)
      await Promise.all(channels.slice(start, start + readsAtOnce).map((channel) => this.#slice(channel)));
    throw new Error("this node is fenced");
  }

  async #slice(channel: FollowedChannel): Promise<LogSlice | undefined> {
    const { position } = channel;
    if (position === undefined) return undefined;
    return this.#deps.log.read(channel.name, channel.history, { kind: "since", position, witness: position.stamp });
  }

  async #read(channel: FollowedChannel): Promise<Waiting[]> {
    const stand = channel.position;
    const slice = await this.#slice(channel);
    if (stand === undefined || slice === undefined) return [];
    const isWhole = recoveryFrom(slice, stand).recovered;
    if (!isWhole) this.#jump(channel, slice);
    if (!isWhole || slice.entries.length > 0) this.#deps.onGap(isWhole ? "repaired" : "told");
    return isWhole ? toMessages(slice, stand.stamp).map((message) => ({ channel, message })) : [];
  }

  #jump(channel: FollowedChannel, { epoch, offset, stamp }: LogSlice): void {
    const missing = channel.jump({ epoch, offset, stamp });
    if (missing.length > 0) this.#deps.lost(channel.name, missing);
  }

  #pass(missed: Waiting[], suspects: Waiting[]): void {
    for (const { channel, message } of missed.toSorted(byStamp))
      if (channel.place(message) === "next") this.#handOver(channel, message);
    this.#isRepairing = false;
    // A suspect came before the reading: where it still does not fit, it was forged or has been lost with the store.
    const waiting = this.#takeWaiting();
    for (const { channel, message } of suspects)
      if (channel.place(message) === "next") this.#handOver(channel, message);
    for (const { channel, message } of waiting) this.receive(channel, message);
    if (this.#mustRepairAgain) this.repair();
  }

  #handOver(channel: FollowedChannel, message: FeedMessage): void {
    channel.pass(message);
    this.#note(message.stamp);
  }

  /** On Cluster the store has no last stamp. */
  #note(stamp: number): void {
    if (stamp > this.#lastStamp && stamp !== Infinity) this.#lastStamp = stamp;
  }

  #wait(channel: FollowedChannel, message: FeedMessage): void {
    if (this.#waiting.length >= mostWaiting || this.#waitingBytes + message.packet.length > mostWaitingBytes) {
      this.#mustRepairAgain = true;
      return;
    }
    this.#waiting.push({ channel, message });
    this.#waitingBytes += message.packet.length;
  }

  #takeWaiting(): Waiting[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return waiting;
  }
}

/** What the feed would have brought. */
function toMessages({ epoch, entries }: LogSlice, stampBefore: number): FeedMessage[] {
  return entries.map((entry, index) => {
    const previous = entries[index - 1]?.stamp ?? stampBefore;
    return { epoch, offset: entry.offset, stamp: entry.stamp, previous, packet: packetOf(entry) };
  });
}

const byStamp = (a: Waiting, b: Waiting): number => a.message.stamp - b.message.stamp;
