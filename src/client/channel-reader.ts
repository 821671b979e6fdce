import type { LivePublication, Position, StateSnapshot, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";
import type { TidegateError } from "./errors.ts";
import { type ChannelItem, continuityOf, mergeAnswer, positionOf } from "./position.ts";

/** `recovering`: subscribed before, and recovering missed publications. */
export type ChannelState = "unsubscribed" | "subscribing" | "subscribed" | "recovering";

/** Events of a reader; see `ChannelEvents`. */
export interface ChannelReaderEvents {
  publication: (WirePublication | LivePublication) & { recovered: boolean };
  snapshot: { snapshot: unknown; position: Position };
  entries: StateSnapshot;
  recovered: { position: Position; count: number };
  reset: { position: Position; previous: Position; snapshot?: unknown };
  state: { state: ChannelState; previous: ChannelState };
  unsubscribed: { code: TidegateError["code"]; message: string; willReturn: boolean };
}

export type EmitChannelEvent = <Name extends keyof ChannelReaderEvents>(
  name: Name,
  argument: ChannelReaderEvents[Name],
) => void;

/** Max publications buffered while earlier ones are missing. Beyond it the oldest are dropped and requested again. */
const maxBuffered = 10_000;

export interface SubscribeResult {
  position: Position;
  snapshot?: unknown;
}

/** The position of an answer, and its snapshot if there is one. */
export const resultOf = ({ snapshot, ...answer }: SubscribeAnswer): SubscribeResult => ({
  position: positionOf(answer),
  ...(snapshot !== undefined && { snapshot }),
});

export interface ChannelReader {
  readonly state: ChannelState;
  readonly position: Position | undefined;
  /** Whether nothing is missing up to its position. */
  readonly _isCurrent: boolean;
  /** Begins a subscription at a position, or ends it. */
  _begin(state: "subscribing" | "unsubscribed", since?: Position): void;
  /** Publications may be missing from now on. */
  _markBehind(): void;
  /** Socket.IO's recovery continues at its position: missed publications first, then, after `_endReplay`, new ones. */
  _startReplay(): void;
  /**
   * Socket.IO's recovery has ended; the node reports `end` as the channel's position (undefined: not subscribed).
   * Returns false if the reader is at another position: something is missing, and it is now behind.
   */
  _endReplay(end: Position | undefined): boolean;
  /** Nothing is missing. */
  _markCurrent(): void;
  /** Returns false after a gap: the reader is now behind. */
  _take(item: ChannelItem | LivePublication): boolean;
  /** Applies the answer to a subscribe request sent since it fell behind. Returns false if publications are still missing. */
  _applyAnswer(answer: SubscribeAnswer): boolean;
  /**
   * Applies a snapshot that was requested while current. The snapshot is emitted when the reader has reached its
   * position. Returns false if it is older than what was delivered.
   */
  _applySnapshot(answer: SubscribeAnswer): boolean;
}

/**
 * Delivers each publication of a channel once and in order, whatever arrives; of a conflated channel, those that were
 * not superseded. It is either current (nothing is missing up to its position) or behind: then it buffers publications
 * until an answer contains the missed ones.
 */
export function createReader(emit: EmitChannelEvent): ChannelReader {
  let state: ChannelState = "unsubscribed";
  let position: Position | undefined;
  let isCurrent = false;
  let isReplaying = false;
  let isConflated: boolean | undefined;
  /** Recovered publications since it fell behind; undefined if nothing can have been missed. */
  let recoveredCount: number | undefined;
  let buffer: ChannelItem[] = [];
  /** Emitted when the reader has reached its position. */
  let pendingSnapshot: SubscribeResult | undefined;
  /** Changes with each start, so that a delivery notices if a listener has stopped the reader. */
  let version = 0;

  const setState = (next: ChannelState): void => {
    const previous = state;
    state = next;
    if (next !== previous) emit("state", { state, previous });
  };

  const begin = (next: ChannelState, since?: Position): void => {
    version += 1;
    position = since;
    pendingSnapshot = undefined;
    recoveredCount = since && 0;
    forget();
    setState(next);
  };

  const forget = (): void => {
    isCurrent = isReplaying = false;
    buffer = [];
  };

  const markBehind = (): void => {
    forget();
    if (state !== "subscribed") return;
    recoveredCount = 0;
    setState("recovering");
  };

  const markCurrent = (): void => {
    const count = recoveredCount;
    isCurrent = true;
    recoveredCount = undefined;
    if (position && count !== undefined) emit("recovered", { position, count });
    setState("subscribed");
  };

  /** Positions without a publication only advance the reader. */
  const deliver = (items: readonly ChannelItem[], isRecovered: boolean, begun = version): void => {
    for (const item of items) {
      if (version !== begun) return;
      position = positionOf(item);
      if ("event" in item) deliverPublication(item, isRecovered);
      emitSnapshot(item);
    }
  };

  const deliverPublication = (publication: WirePublication | LivePublication, recovered: boolean): void => {
    if (recovered) recoveredCount = (recoveredCount ?? 0) + 1;
    emit("publication", { ...publication, recovered });
  };

  const emitSnapshot = (reached: Position): void => {
    const due = pendingSnapshot;
    if (!due || continuityOf(reached, due.position) !== "repeat") return;
    pendingSnapshot = undefined;
    emit("snapshot", due as ChannelReaderEvents["snapshot"]);
  };

  return {
    get state() {
      return state;
    },
    get position() {
      return position;
    },
    get _isCurrent() {
      return isCurrent;
    },
    _begin: begin,
    _markBehind: markBehind,
    _markCurrent: markCurrent,
    _startReplay() {
      // Without a position it has begun anew.
      isCurrent = isReplaying = position !== undefined;
    },
    _endReplay(end) {
      if (!isReplaying) return true;
      isReplaying = false;
      const isWhole = end?.epoch === position?.epoch && end?.offset === position?.offset;
      if (isWhole) markCurrent();
      else markBehind();
      return isWhole;
    },
    _take(item) {
      const wasCurrent = isCurrent;
      if (!("offset" in item)) {
        // It has no position, so it is delivered at once.
        deliverPublication(item, false);
        return true;
      }
      if (isCurrent && position) {
        const continuity = continuityOf(position, item, isConflated);
        if (continuity === "next") deliver([item], isReplaying);
        if (continuity !== "gap") return true;
        markBehind();
      }
      if (buffer.push(item) > maxBuffered) buffer.splice(0, maxBuffered / 2);
      return !wasCurrent;
    },
    _applyAnswer(answer) {
      const begun = version;
      const previous = position;
      // What has arrived and leads to the answer's position without a gap was not lost.
      while (
        previous &&
        !answer.recovered &&
        !answer.snapshot &&
        buffer.some((item) => item.epoch === answer.epoch && item.offset === answer.offset)
      )
        answer.offset -= 1;
      const { start, missed, live, isWhole } = mergeAnswer(previous, answer, buffer);
      isConflated = answer.conflated;
      buffer = [];
      position = start;
      if (!answer.recovered) {
        const result = resultOf(answer);
        recoveredCount = undefined;
        pendingSnapshot = answer.snapshot ? result : undefined;
        if (previous) emit("reset", { ...result, previous });
        emitSnapshot(start);
      }
      deliver(missed, true, begun);
      deliver(live, false, begun);
      return isWhole;
    },
    _applySnapshot(answer) {
      if (!position) return true;
      if (continuityOf(position, answer) !== "repeat") isCurrent = false;
      if (!answer.snapshot) return true;
      if (answer.epoch === position.epoch && answer.offset < position.offset) return false;
      pendingSnapshot = resultOf(answer);
      emitSnapshot(position);
      return true;
    },
  };
}
