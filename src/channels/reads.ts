import { kindOf } from "../protocol/names.ts";
import type { Position } from "../protocol/scalars.ts";
import type { ChannelHistory, HistoryQuery, Snapshot, Subscription, TakeSnapshot } from "./answers.ts";
import type { ChannelLog, LogSlice } from "./channel-log.ts";
import { conflationOf, lookBack } from "./conflation.ts";
import type { Kinds } from "./kinds.ts";
import type { Publication } from "./publication.ts";
import { recoveryFrom, type MissedSlice } from "./recovery.ts";

export interface ReadsDeps {
  kinds: Kinds;
  log: ChannelLog;
  /** By kind. */
  snapshots: ReadonlyMap<string, TakeSnapshot>;
}

/** What is known of where a subscription begins. */
interface Standing {
  /** Where the subscriber says it stopped. */
  since: Position | undefined;
  /** Where the channel stands, where that was read a moment ago. */
  present: Position | undefined;
}

/** What is read of a channel's log for whoever asks: its history, and the answer to a subscription. */
export class Reads {
  readonly #deps: ReadsDeps;

  constructor(deps: ReadsDeps) {
    this.#deps = deps;
  }

  /** The last `limit` publications, or all after `since` up to `limit`; none where `since` is not of this log. */
  async history(channel: string, { since, limit }: HistoryQuery): Promise<ChannelHistory> {
    const { history } = this.#deps.kinds.of(channel);
    const most = Math.min(limit ?? history.size, history.size);
    const from = since === undefined ? ({ kind: "latest", limit: most } as const) : sinceOf(since);
    const { epoch, offset, isWhole, entries } = await this.#deps.log.read(channel, history, from);
    const publications = isWhole ? entries.slice(0, most).map(({ json }) => toPublication(json)) : [];
    return { channel, epoch, offset, publications };
  }

  /** What came after `stamp`, or after `read` if that is known, in a subscription that began at `begun`. */
  async missed(channel: string, begun: Position, stamp: number, read?: Position): Promise<MissedSlice> {
    const { history, conflateMs } = this.#deps.kinds.of(channel);
    const conflation = conflationOf(channel, conflateMs);
    const after = conflation === undefined ? stamp : lookBack(conflation, stamp);
    const from = read === undefined ? { stamp: after, position: begun } : { stamp: 0, position: read };
    const slice = await this.#deps.log.read(channel, history, { kind: "after", ...from });
    return { channel, slice, conflation };
  }

  async answer(channel: string, userId: string, { since, present }: Standing): Promise<Subscription> {
    const takeSnapshot = this.#deps.snapshots.get(kindOf(channel));
    const { history } = this.#deps.kinds.of(channel);
    if (since !== undefined) {
      const recovered = toSubscription(channel, await this.#deps.log.read(channel, history, sinceOf(since)), since);
      if (recovered.recovered || takeSnapshot === undefined) return recovered;
    }
    if (takeSnapshot !== undefined) return withSnapshot(channel, await takeSnapshot(channel, userId));
    const { epoch, offset } = present ?? (await this.#deps.log.read(channel, history, { kind: "position" }));
    return { channel, epoch, offset, recovered: false, publications: [] };
  }
}

const sinceOf = (position: Position) => ({ kind: "since", position }) as const;

function toSubscription(channel: string, slice: LogSlice, since: Position): Subscription {
  const { epoch, offset } = slice;
  // The log says itself whether the position is of an earlier generation of it.
  const { recovered, publications } = recoveryFrom(slice, { epoch, offset: since.offset });
  return { channel, epoch, offset, recovered, publications: publications.map(toPublication) };
}

function withSnapshot(channel: string, { value, at }: Snapshot): Subscription {
  return { channel, epoch: at.epoch, offset: at.offset, recovered: false, publications: [], snapshot: value };
}

/** What the log holds was written by the publish script from what the gate let in. */
const toPublication = (json: string): Publication => JSON.parse(json) as Publication;
