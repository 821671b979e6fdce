import type { LivePublication, Position, SubscribeAnswer, Unsubscribed, WirePublication } from "../protocol/wire.ts";
import { type Backoff, delayBefore, type Pause, pause } from "./backoff.ts";
import { isTemporary, TidegateError } from "./errors.ts";
import type { Pacer } from "./pacer.ts";
import { type Asking, Reading, type Tell } from "./reading.ts";
import type { Request } from "./requests.ts";

/** What a subscription needs of its client. */
export interface Link {
  readonly request: Request;
  readonly pacer: Pacer;
  readonly backoff: Backoff;
  /** Another number for every connection; undefined while there is none. */
  connection(): number | undefined;
  /** Why there will be none any more. */
  closedBy(): TidegateError | undefined;
}

export interface Subscribed {
  position: Position;
  snapshot?: unknown;
}

type Wish = PromiseWithResolvers<Subscribed>;

/**
 * One channel's subscription over all connections. What is wished and what the node holds are kept apart, and one loop
 * brings the second to the first; so it does not matter in which order cuts, answers and wishes come.
 */
export class Subscription {
  readonly reading: Reading;
  readonly #name: string;
  readonly #link: Link;
  readonly #tell: Tell;
  #wish: Wish | undefined;
  /** The node may know us as a subscriber. */
  #isHeld = false;
  /** The connection before this one was following: Socket.IO's own recovery may go on from there. */
  #canResume = false;
  #failures = 0;
  #rest: Pause | undefined;
  #work: Promise<void> = Promise.resolve();
  #isWorking = false;

  constructor(name: string, link: Link, tell: Tell) {
    this.reading = new Reading(tell);
    this.#name = name;
    this.#link = link;
    this.#tell = tell;
  }

  /** Wished for, or not yet let go by the node. */
  get isActive(): boolean {
    return this.#wish !== undefined || this.#isHeld || this.#isWorking;
  }

  /** Resolves with the first answer; a repeat of the call joins the first. */
  want(since: Position | undefined): Promise<Subscribed> {
    if (this.#wish !== undefined) return this.#wish.promise;
    const end = this.#link.closedBy();
    if (end !== undefined) return Promise.reject(end);
    const wish: Wish = Promise.withResolvers();
    // Who does not look at the promise hears of a refusal by the event.
    wish.promise.catch(() => undefined);
    this.#wish = wish;
    this.reading.begin(since);
    void this.#reconcile();
    return wish.promise;
  }

  /** Resolves when the node knows; at once where there is no connection. */
  unwant(): Promise<void> {
    this.end(new TidegateError("closed", `${this.#name} was unsubscribed.`));
    return this.#reconcile();
  }

  /** Asks for the channel's present, snapshot and all, as if for the first time. What was seen so far stays delivered. */
  renew(): void {
    if (this.#wish === undefined) return;
    this.reading.forget();
    void this.#reconcile();
  }

  /** Ends the wish, telling whoever still waits for it why. */
  end(reason: TidegateError): void {
    const wish = this.#wish;
    if (wish === undefined) return;
    this.#wish = undefined;
    wish.reject(reason);
    this.reading.end();
  }

  /** A connection began; `recovered` where Socket.IO's own recovery kept what the node holds. */
  opened(recovered: boolean): void {
    if (!recovered) this.#isHeld = false;
    if (recovered && this.#canResume && this.#wish !== undefined) this.reading.resume();
    void this.#reconcile();
  }

  cut(): void {
    this.#canResume = this.reading.isFollowing;
    this.reading.fallBehind();
  }

  receive(publication: WirePublication | LivePublication): void {
    if (this.#wish === undefined || this.reading.receive(publication)) return;
    void this.#reconcile();
  }

  takenAway({ code, message }: Unsubscribed): void {
    if (this.#wish === undefined) return;
    this.#isHeld = false;
    if (!isTemporary(code)) return this.#refused(new TidegateError(code, message));
    this.reading.fallBehind();
    this.#tell("unsubscribed", { code, message, willReturn: true });
    // All of a node's subscribers lose it at the same moment; they come back spread out.
    if (!this.#isWorking) void this.#waitAfter(undefined).then(() => this.#reconcile());
  }

  #reconcile(): Promise<void> {
    this.#failures = 0;
    this.#rest?.end();
    if (!this.#isWorking) this.#work = this.#untilAsWished();
    return this.#work;
  }

  /** Falls back to rest in the same turn in which it finds nothing to do, or a hole seen right after would go unheard. */
  async #untilAsWished(): Promise<void> {
    this.#isWorking = true;
    while (this.#link.connection() !== undefined && !this.#isAsWished) {
      await (this.#wish === undefined ? this.#leave() : this.#enter(this.#wish));
    }
    this.#isWorking = false;
  }

  get #isAsWished(): boolean {
    return this.#wish === undefined ? !this.#isHeld : this.reading.isFollowing;
  }

  async #leave(): Promise<void> {
    try {
      await this.#link.request("unsubscribe", { channel: this.#name });
      this.#isHeld = false;
    } catch (error) {
      if (error instanceof TidegateError && isTemporary(error.code)) await this.#waitAfter(error);
      else this.#isHeld = false;
    }
  }

  async #enter(wish: Wish): Promise<void> {
    const connection = this.#link.connection();
    const isStale = (): boolean => this.#wish !== wish || this.#link.connection() !== connection;
    const { asking } = this.reading;
    try {
      const answer = await this.#link.pacer.run(() => this.#ask(asking.since, isStale));
      if (this.#link.connection() === connection) this.#isHeld = true;
      if (this.#wish === wish) await this.#answered(wish, asking, answer, isStale);
    } catch (error) {
      if (isStale()) return;
      if (error instanceof TidegateError && !isTemporary(error.code)) this.#refused(error);
      else await this.#waitAfter(error);
    }
  }

  async #ask(since: Position | undefined, isStale: () => boolean): Promise<SubscribeAnswer> {
    if (isStale()) throw new TidegateError("disconnected", "No longer asked for.");
    this.#isHeld = true;
    return this.#link.request("subscribe", { channel: this.#name, ...(since !== undefined && { since }) });
  }

  /** An answer that came before a cut still counts as far as it goes; what came after it is asked for again. */
  async #answered(wish: Wish, asking: Asking, answer: SubscribeAnswer, isStale: () => boolean) {
    const { epoch, offset, snapshot } = answer;
    wish.resolve({ position: { epoch, offset }, ...(snapshot !== undefined && { snapshot }) });
    const isWhole = this.reading.take(asking, answer);
    if (isStale()) return;
    if (isWhole) this.#following();
    else await this.#waitAfter(undefined);
  }

  #following(): void {
    this.#failures = 0;
    this.reading.catchUp();
  }

  #refused(error: TidegateError): void {
    this.#isHeld = false;
    this.end(error);
    this.#tell("unsubscribed", { code: error.code, message: error.message, willReturn: false });
  }

  async #waitAfter(error: unknown): Promise<void> {
    const retryAfterMs = error instanceof TidegateError ? error.retryAfterMs : undefined;
    this.#rest = pause(delayBefore(this.#failures, this.#link.backoff, retryAfterMs));
    this.#failures += 1;
    await this.#rest.over;
  }
}
