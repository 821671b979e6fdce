import { kindOf } from "../protocol/names.ts";
import type { Position } from "../protocol/scalars.ts";
import type { ChannelHistory, HistoryQuery, Snapshot, Subscription, TakeSnapshot } from "./subscription.ts";
import type { ChannelLog } from "./channel-log.ts";
import type { LogEntry, LogSlice } from "./log-entry.ts";
import { conflationOf, lookBack } from "./conflation.ts";
import type { HistoryOptions, Kinds } from "./kinds.ts";
import type { Publication } from "./publication.ts";
import { isExcepted } from "./packets.ts";
import type { Subscriber } from "./subscribers.ts";
import { mergeMissed, recoveryFrom, type MergedRecovery, type MissedSlice } from "./recovery.ts";

export interface LogReaderDeps {
  kinds: Kinds;
  log: ChannelLog;
  /** By kind. */
  snapshots: ReadonlyMap<string, TakeSnapshot>;
}

/** What is known about where a subscription starts. */
interface SubscriptionStart {
  /** The position that the client sent. */
  since: Position | undefined;
  /** The channel's position, if it was read a moment ago. */
  current: Position | undefined;
}

/** Reads logs: history, subscribe answers, and what a recovering connection missed. */
export class LogReader {
  readonly #deps: LogReaderDeps;

  constructor(deps: LogReaderDeps) {
    this.#deps = deps;
  }

  /** The last `limit` publications, or at most `limit` after `since`; none if `since` belongs to another log. */
  async history(channel: string, { since, limit }: HistoryQuery): Promise<ChannelHistory> {
    const { history } = this.#deps.kinds.of(channel);
    const most = Math.min(limit ?? history.size, history.size);
    const from = since === undefined ? ({ kind: "latest", limit: most } as const) : sinceOf(since);
    const { epoch, offset, isWhole, entries } = await this.#deps.log.read(channel, history, from);
    const publications = isWhole ? entries.slice(0, most).map(({ json }) => toPublication(json)) : [];
    return { channel, epoch, offset, publications };
  }

  /**
   * Everything the subscriptions that began at `starts` missed after `timestamp`, or after `read` for channels whose exact
   * position is known. Undefined if a missed publication is gone, or the timestamp was never assigned.
   */
  async missedSince(
    timestamp: number,
    starts: ReadonlyMap<string, Position>,
    read?: ReadonlyMap<string, Position>,
  ): Promise<MergedRecovery | undefined> {
    const [upTo, latest, ...slices] = await Promise.all([
      this.#deps.log.lastTimestamp(),
      this.#deps.log.latestTimestamp(),
      ...[...starts].map(([channel, start]) => this.#missed(channel, start, timestamp, read?.get(channel))),
    ]);
    return timestamp > latest ? undefined : mergeMissed(slices, upTo);
  }

  async #missed(channel: string, start: Position, timestamp: number, read?: Position): Promise<MissedSlice> {
    const { history, conflateMs } = this.#deps.kinds.of(channel);
    const conflation = conflationOf(channel, conflateMs);
    const after = conflation === undefined ? timestamp : lookBack(conflation, timestamp);
    const from = read === undefined ? { timestamp: after, position: start } : { timestamp: 0, position: read };
    const slice = await this.#deps.log.read(channel, history, { kind: "after", ...from });
    return { channel, slice, conflation };
  }

  /** The answer to `subscribe`, without publications that the subscriber must not receive; at once if all of it is known. */
  answer(subscriber: Subscriber, channel: string, start: SubscriptionStart): Subscription | Promise<Subscription> {
    const { since, current } = start;
    const takeSnapshot = this.#snapshotOf(channel, this.#deps.kinds.of(channel).history);
    if (since !== undefined || current === undefined || takeSnapshot !== undefined)
      return this.#read(subscriber, channel, start);
    return { channel, epoch: current.epoch, offset: current.offset, recovered: false, publications: [] };
  }

  async #read(subscriber: Subscriber, channel: string, { since, current }: SubscriptionStart): Promise<Subscription> {
    const { history } = this.#deps.kinds.of(channel);
    const takeSnapshot = this.#snapshotOf(channel, history);
    if (since !== undefined) {
      const slice = await this.#deps.log.read(channel, history, sinceOf(since));
      const recovered = toSubscription(subscriber, channel, slice, since);
      if (recovered.recovered || takeSnapshot === undefined) return recovered;
    }
    if (takeSnapshot !== undefined) return withSnapshot(channel, await takeSnapshot(channel));
    const { epoch, offset } = current ?? (await this.#deps.log.read(channel, history, { kind: "position" }));
    return { channel, epoch, offset, recovered: false, publications: [] };
  }

  #snapshotOf(channel: string, { isJoined }: HistoryOptions): TakeSnapshot | undefined {
    const joined = isJoined === true ? () => this.#deps.log.readJoined(channel) : undefined;
    return this.#deps.snapshots.get(kindOf(channel)) ?? joined;
  }
}

const sinceOf = (position: Position) => ({ kind: "since", position }) as const;

function toSubscription(subscriber: Subscriber, channel: string, slice: LogSlice, since: Position): Subscription {
  const { epoch, offset } = slice;
  // The log itself checks positions of earlier generations.
  const { recovered, entries } = recoveryFrom(slice, { epoch, offset: since.offset });
  const isSkipped = ({ except }: LogEntry): boolean => isExcepted(subscriber, except);
  const skipped = entries.filter(isSkipped).map((entry) => entry.offset);
  const publications = entries.filter((entry) => !isSkipped(entry)).map(({ json }) => toPublication(json));
  const answer = { channel, epoch, offset, recovered, publications };
  return skipped.length === 0 ? answer : { ...answer, skipped };
}

function withSnapshot(channel: string, { value, at }: Snapshot): Subscription {
  return { channel, epoch: at.epoch, offset: at.offset, recovered: false, publications: [], snapshot: value };
}

/** The publish script wrote it from validated input. */
const toPublication = (json: string): Publication => JSON.parse(json) as Publication;
