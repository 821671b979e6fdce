import type { LivePublication, Position, StateSnapshot, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";
import type { TidegateError } from "./errors.ts";
import { type ChannelItem, continuityOf, mergeAnswer } from "./position.ts";

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

/**
 * Delivers each publication of a channel once and in order, whatever arrives; of a conflated channel, those that were
 * not superseded. It is either current (nothing is missing up to its position) or behind: then it buffers publications
 * until an answer contains the missed ones.
 */
export class ChannelReader {
  readonly #emit: EmitChannelEvent;
  #state: ChannelState = "unsubscribed";
  #position: Position | undefined;
  #isCurrent = false;
  #isReplaying = false;
  #isConflated = false;
  /** Recovered publications since it fell behind; undefined if nothing can have been missed. */
  #recoveredCount: number | undefined;
  #buffer: ChannelItem[] = [];
  /** Requested while current; emitted when the reader has reached its position. */
  #snapshot: { snapshot: unknown; position: Position } | undefined;
  /** Changes with each start, so that a delivery notices if a listener has stopped the reader. */
  #version = 0;

  constructor(emit: EmitChannelEvent) {
    this.#emit = emit;
  }

  get state(): ChannelState {
    return this.#state;
  }

  get position(): Position | undefined {
    return this.#position;
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  start(since: Position | undefined): void {
    this.#version += 1;
    this.#position = since;
    this.#recoveredCount = since === undefined ? undefined : 0;
    this.#setState("subscribing");
  }

  stop(): void {
    this.#version += 1;
    this.#position = this.#snapshot = undefined;
    this.#isCurrent = this.#isReplaying = false;
    this.#buffer = [];
    this.#setState("unsubscribed");
  }

  /** Publications may be missing from now on. */
  markBehind(): void {
    this.#isCurrent = this.#isReplaying = false;
    this.#buffer = [];
    if (this.#state !== "subscribed") return;
    this.#recoveredCount = 0;
    this.#setState("recovering");
  }

  /** Socket.IO's recovery continues at its position: missed publications first, then, after `endReplay`, new ones. */
  startReplay(): void {
    this.#isCurrent = this.#isReplaying = true;
  }

  /**
   * Socket.IO's recovery has ended; the node reports `end` as the channel's position (undefined: not subscribed).
   * Returns false if the reader is at another position: something is missing, and it is now behind.
   */
  endReplay(end: Position | undefined): boolean {
    if (!this.#isReplaying) return true;
    this.#isReplaying = false;
    const isWhole = end !== undefined && end.epoch === this.#position?.epoch && end.offset === this.#position.offset;
    if (isWhole) this.markCurrent();
    else this.markBehind();
    return isWhole;
  }

  /** Nothing is missing. */
  markCurrent(): void {
    this.#isCurrent = true;
    const count = this.#recoveredCount;
    this.#recoveredCount = undefined;
    if (count !== undefined && this.#position !== undefined)
      this.#emit("recovered", { position: this.#position, count });
    this.#setState("subscribed");
  }

  /** Returns false after a gap: the reader is now behind. */
  receive(item: ChannelItem | LivePublication): boolean {
    if (!("offset" in item)) {
      // It has no position, so it is delivered at once.
      this.#deliverPublication(item, false);
      return true;
    }
    const wasCurrent = this.#isCurrent && this.#position !== undefined;
    if (wasCurrent) {
      const continuity = continuityOf(this.#position as Position, item, this.#isConflated);
      if (continuity === "next") this.#deliver([item], this.#isReplaying);
      if (continuity !== "gap") return true;
      this.markBehind();
    }
    if (this.#buffer.push(item) > maxBuffered) this.#buffer.splice(0, maxBuffered / 2);
    return !wasCurrent;
  }

  /** Applies the answer to a subscribe request sent since it fell behind. Returns false if publications are still missing. */
  applyAnswer(answer: SubscribeAnswer): boolean {
    const version = this.#version;
    const since = this.#position;
    this.#isConflated = answer.conflated === true;
    const merged = mergeAnswer(since, answer, this.#buffer);
    this.#buffer = [];
    this.#position = merged.start;
    if (!answer.recovered) this.#restart(since, answer, merged.start);
    this.#deliver(merged.missed, true, version);
    this.#deliver(merged.live, false, version);
    return merged.isWhole;
  }

  /**
   * Applies a snapshot that was requested while current. The snapshot is emitted when the reader has reached its
   * position. Returns false if it is older than what was delivered.
   */
  applySnapshot({ epoch, offset, snapshot }: SubscribeAnswer): boolean {
    const position = this.#position;
    if (position === undefined) return true;
    if (epoch !== position.epoch || offset > position.offset) this.#isCurrent = false;
    if (snapshot === undefined) return true;
    if (epoch === position.epoch && offset < position.offset) return false;
    this.#snapshot = { snapshot, position: { epoch, offset } };
    this.#emitSnapshot(position);
    return true;
  }

  #emitSnapshot({ epoch, offset }: Position): void {
    const due = this.#snapshot;
    if (due === undefined || due.position.epoch !== epoch || due.position.offset > offset) return;
    this.#snapshot = undefined;
    this.#emit("snapshot", due);
  }

  #restart(previous: Position | undefined, { snapshot }: SubscribeAnswer, position: Position): void {
    const version = this.#version;
    this.#recoveredCount = this.#snapshot = undefined;
    if (previous !== undefined)
      this.#emit("reset", { position, previous, ...(snapshot !== undefined && { snapshot }) });
    if (snapshot !== undefined && this.#version === version) this.#emit("snapshot", { snapshot, position });
  }

  /** Positions without a publication only advance the reader. */
  #deliver(items: readonly ChannelItem[], recovered: boolean, version = this.#version): void {
    for (const item of items) {
      if (this.#version !== version) return;
      this.#position = { epoch: item.epoch, offset: item.offset };
      if ("event" in item) this.#deliverPublication(item, recovered);
      if (this.#version === version) this.#emitSnapshot(item);
    }
  }

  #deliverPublication(publication: WirePublication | LivePublication, recovered: boolean): void {
    if (recovered) this.#recoveredCount = (this.#recoveredCount ?? 0) + 1;
    this.#emit("publication", { ...publication, recovered });
  }

  #setState(state: ChannelState): void {
    if (state === this.#state) return;
    const previous = this.#state;
    this.#state = state;
    this.#emit("state", { state, previous });
  }
}
