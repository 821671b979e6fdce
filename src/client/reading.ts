import type { LivePublication, Position, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";
import type { TidegateError } from "./errors.ts";
import { fit, merge } from "./position.ts";

/** `recovering`: subscribed before, and finding out what was missed. */
export type ChannelState = "unsubscribed" | "subscribing" | "subscribed" | "recovering";

/** What a reader is told; channel.ts says what each means. */
export interface ReadingEvents {
  publication: (WirePublication | LivePublication) & { recovered: boolean };
  snapshot: { snapshot: unknown; position: Position };
  recovered: { position: Position; count: number };
  reset: { position: Position; previous: Position; snapshot?: unknown };
  state: { state: ChannelState; previous: ChannelState };
  unsubscribed: { code: TidegateError["code"]; message: string; willReturn: boolean };
}

export type Tell = <Name extends keyof ReadingEvents>(name: Name, argument: ReadingEvents[Name]) => void;

/** Where a reader stood when it asked what it missed. */
export interface Asking {
  since: Position | undefined;
  round: number;
}

/** Most publications kept while something before them is missing. Beyond it the oldest go; that hole is then asked for. */
const mostEarly = 10_000;

/**
 * What one reader has seen of a channel: each publication once, in order, whatever arrives; of a channel that conflates,
 * those that no later one made needless. It either follows (nothing is
 * missing up to its position) or is behind, keeping what comes until an answer says what was missed.
 */
export class Reading {
  readonly #tell: Tell;
  #state: ChannelState = "unsubscribed";
  #position: Position | undefined;
  #isFollowing = false;
  #isReplaying = false;
  #isConflated = false;
  /** Missed publications delivered since it fell behind; undefined where nothing can have been missed. */
  #broughtBack: number | undefined;
  #early: WirePublication[] = [];
  /** Asked for while following; told when the reading has come to its position. */
  #snapshot: { snapshot: unknown; position: Position } | undefined;
  /** Another one for each beginning, so that a delivery notices when a listener ended its reading. */
  #round = 0;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  get state(): ChannelState {
    return this.#state;
  }

  get position(): Position | undefined {
    return this.#position;
  }

  get isFollowing(): boolean {
    return this.#isFollowing;
  }

  begin(since: Position | undefined): void {
    this.#round += 1;
    this.#position = since;
    this.#broughtBack = since === undefined ? undefined : 0;
    this.#setState("subscribing");
  }

  end(): void {
    this.forget();
    this.#setState("unsubscribed");
  }

  /** What it has seen no longer counts: it goes on from the channel's present, as an answer will tell it. */
  forget(): void {
    this.#round += 1;
    this.#position = undefined;
    this.#isFollowing = this.#isReplaying = false;
    this.#early = [];
    this.#snapshot = undefined;
  }

  /** Where it stands when it asks; `take` wants it back with the answer. */
  get asking(): Asking {
    return { since: this.#position, round: this.#round };
  }

  /** What comes from now on may have something missing before it. */
  fallBehind(): void {
    this.#isFollowing = this.#isReplaying = false;
    this.#early = [];
    if (this.#state !== "subscribed") return;
    this.#broughtBack = 0;
    this.#setState("recovering");
  }

  /** Socket.IO's own recovery goes on where it stopped: first what was missed, then, after `replayed`, what is new. */
  resume(): void {
    this.#isFollowing = this.#isReplaying = true;
  }

  /**
   * The recovery is over; by the node's word the channel stands at `end` (undefined: it knows of no subscription). False
   * if the reader does not stand there: something was left out, and it has fallen behind.
   */
  replayed(end: Position | undefined): boolean {
    if (!this.#isReplaying) return true;
    this.#isReplaying = false;
    const isWhole = end !== undefined && end.epoch === this.#position?.epoch && end.offset === this.#position.offset;
    if (isWhole) this.catchUp();
    else this.fallBehind();
    return isWhole;
  }

  /** Nothing is missing any more. */
  catchUp(): void {
    this.#isFollowing = true;
    const count = this.#broughtBack;
    this.#broughtBack = undefined;
    if (count !== undefined && this.#position !== undefined)
      this.#tell("recovered", { position: this.#position, count });
    this.#setState("subscribed");
  }

  /** False where a hole showed: it has fallen behind. */
  receive(publication: WirePublication | LivePublication): boolean {
    if (!("offset" in publication)) return this.#passOn(publication);
    if (!this.#isFollowing || this.#position === undefined) return this.#keep(publication);
    const found = fit(this.#position, publication, this.#isConflated);
    if (found === "next") this.#deliver([publication], this.#isReplaying);
    if (found !== "hole") return true;
    this.fallBehind();
    this.#keep(publication);
    return false;
  }

  /** Takes the answer to a subscription. False where something is still missing, or the question is no longer the same. */
  take({ since, round }: Asking, answer: SubscribeAnswer): boolean {
    if (this.#round !== round) return false;
    this.#isConflated = answer.conflated === true;
    const merged = merge(since, answer, this.#early);
    this.#early = [];
    this.#isConflated = answer.conflated === true;
    this.#position = merged.start;
    if (!answer.recovered) this.#startAnew(since, answer, merged.start);
    this.#deliver(merged.missed, true, round);
    this.#deliver(merged.live, false, round);
    return merged.isWhole && this.#round === round;
  }

  /**
   * Takes the answer to one who follows and asked for a snapshot. What was published up to it may have been held back for
   * the answer: it is then asked for, and the snapshot told behind it. False if the snapshot is older than what was
   * delivered: what follows it has gone by.
   */
  renew({ round }: Asking, { epoch, offset, snapshot }: SubscribeAnswer): boolean {
    const position = this.#position;
    if (this.#round !== round || position === undefined) return true;
    if (epoch !== position.epoch || offset > position.offset) this.#isFollowing = false;
    if (snapshot === undefined) return true;
    if (epoch === position.epoch && offset < position.offset) return false;
    this.#snapshot = { snapshot, position: { epoch, offset } };
    this.#tellSnapshot(position);
    return true;
  }

  #tellSnapshot({ epoch, offset }: Position): void {
    const due = this.#snapshot;
    if (due === undefined || due.position.epoch !== epoch || due.position.offset > offset) return;
    this.#snapshot = undefined;
    this.#tell("snapshot", due);
  }

  #startAnew(previous: Position | undefined, { snapshot }: SubscribeAnswer, position: Position): void {
    const round = this.#round;
    this.#broughtBack = this.#snapshot = undefined;
    if (previous !== undefined)
      this.#tell("reset", { position, previous, ...(snapshot !== undefined && { snapshot }) });
    if (snapshot !== undefined && this.#round === round) this.#tell("snapshot", { snapshot, position });
  }

  #deliver(publications: readonly WirePublication[], recovered: boolean, round = this.#round): void {
    for (const publication of publications) {
      if (this.#round !== round) return;
      this.#position = { epoch: publication.epoch, offset: publication.offset };
      if (recovered) this.#broughtBack = (this.#broughtBack ?? 0) + 1;
      this.#tell("publication", { ...publication, recovered });
      if (this.#round === round) this.#tellSnapshot(publication);
    }
  }

  /** It belongs to no place in the order, so it waits for nothing. */
  #passOn(publication: LivePublication): true {
    this.#tell("publication", { ...publication, recovered: false });
    return true;
  }

  #keep(publication: WirePublication): true {
    if (this.#early.push(publication) > mostEarly) this.#early.splice(0, mostEarly / 2);
    return true;
  }

  #setState(state: ChannelState): void {
    if (state === this.#state) return;
    const previous = this.#state;
    this.#state = state;
    this.#tell("state", { state, previous });
  }
}
