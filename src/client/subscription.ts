import type { LivePublication, Position, SubscribeAnswer, Unsubscribed, WirePublication } from "../protocol/wire.ts";
import { type Backoff, delayBefore, type Pause, pause } from "./backoff.ts";
import { type Deferred, deferred } from "./deferred.ts";
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

type Wish = Deferred<Subscribed>;

function createWish(): Wish {
  const wish: Wish = deferred();
  // A user that does not look at the promise hears of a refusal by the event.
  wish.promise.catch(() => undefined);
  return wish;
}

const unknownSnapshot = Symbol("unknown");

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
  /** Who wants the channel, and how often each asked: nobody can take another's place by leaving twice. */
  readonly #users = new Map<object, number>();
  /** The first answer, once it came. */
  #answer: Subscribed | undefined;
  /** The channel's present is to be asked for once more, for those who came later. */
  #fresh: Wish | undefined;
  /** The node may know us as a subscriber. */
  #isHeld = false;
  /** The connection before this one was following: Socket.IO's own recovery may go on from there. */
  #canResume = false;
  #failures = 0;
  #rest: Pause | undefined;
  #work: Promise<void> = Promise.resolve();
  #isWorking = false;

  constructor(name: string, link: Link, tell: Tell) {
    this.reading = new Reading((event, argument) => {
      tell(event, argument);
      if (event === "snapshot") this.#settleFresh(argument as Subscribed);
    });
    this.#name = name;
    this.#link = link;
    this.#tell = tell;
  }

  /** Wished for, or not yet let go by the node. */
  get isActive(): boolean {
    return this.#wish !== undefined || this.#isHeld || this.#isWorking;
  }

  /** `user` wants it once more. Resolves with the first answer, or, if that came before, with the channel as it is now. */
  want(user: object, since: Position | undefined): Promise<Subscribed> {
    const end = this.#link.closedBy();
    if (end !== undefined) return Promise.reject(end);
    this.#users.set(user, (this.#users.get(user) ?? 0) + 1);
    if (this.#wish !== undefined) return this.#join(this.#wish);
    const wish = (this.#wish = createWish());
    this.reading.begin(since);
    void this.#reconcile();
    return wish.promise;
  }

  /** Undoes one `want` of `user`. After the last: resolves when the node knows, or at once if there is no connection. */
  unwant(user: object): Promise<void> {
    const left = (this.#users.get(user) ?? 0) - 1;
    if (left > 0) this.#users.set(user, left);
    else this.#users.delete(user);
    if (this.#users.size > 0) return Promise.resolve();
    this.end(new TidegateError("closed", `${this.#name} was unsubscribed.`));
    return this.#reconcile();
  }

  /** Asks for the snapshot once more. Every publication is delivered all the same, before it or behind it. */
  renew(): void {
    if (this.#wish !== undefined) void this.#askAgain();
  }

  /** Ends the wish, telling whoever still waits for it why. */
  end(reason: TidegateError): void {
    const wish = this.#wish;
    if (wish === undefined) return;
    this.#wish = this.#answer = undefined;
    this.#users.clear();
    wish.reject(reason);
    this.#fresh?.reject(reason);
    this.#fresh = undefined;
    this.reading.end();
  }

  #join(wish: Wish): Promise<Subscribed> {
    if (this.#answer === undefined) return wish.promise;
    const { position } = this.reading;
    if (this.#answer.snapshot === undefined && position !== undefined) return Promise.resolve({ position });
    return this.#askAgain();
  }

  #askAgain(): Promise<Subscribed> {
    const fresh = (this.#fresh ??= createWish());
    void this.#reconcile();
    return fresh.promise;
  }

  #settleFresh(subscribed: Subscribed): void {
    this.#fresh?.resolve(subscribed);
    this.#fresh = undefined;
  }

  /** A connection began; `recovered` where Socket.IO's own recovery kept what the node holds. */
  opened(recovered: boolean): void {
    if (!recovered) this.#isHeld = false;
    if (recovered && this.#canResume && this.#wish !== undefined) this.reading.resume();
    void this.#reconcile();
  }

  /** The recovery is over; `positions` has what the node holds of this connection, by channel. */
  replayed(positions: ReadonlyMap<string, Position>): void {
    if (!this.reading.replayed(positions.get(this.#name))) void this.#reconcile();
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
    if (this.#wish === undefined) return !this.#isHeld;
    return this.reading.isFollowing && this.#fresh === undefined;
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
    const { asking, isFollowing } = this.reading;
    try {
      // Whoever follows and asks all the same asks for the snapshot, which comes only without a position.
      const answer = await this.#link.pacer.run(() => this.#ask(isFollowing ? undefined : asking.since, isStale));
      if (this.#link.connection() === connection) this.#isHeld = true;
      if (isFollowing && !isStale()) await this.#renewed(asking, answer);
      else if (!isFollowing && this.#wish === wish) await this.#answered(wish, asking, answer, isStale);
    } catch (error) {
      if (isStale()) return;
      if (error instanceof TidegateError && !isTemporary(error.code)) this.#refused(error);
      else await this.#waitAfter(error);
    }
  }

  async #ask(since: Position | undefined, isStale: () => boolean): Promise<SubscribeAnswer> {
    if (isStale()) throw new TidegateError("disconnected", "The subscription is no longer active.");
    this.#isHeld = true;
    return this.#link.request("subscribe", { channel: this.#name, ...(since !== undefined && { since }) });
  }

  /** An answer that came before a cut still counts as far as it goes; what came after it is asked for again. */
  async #answered(wish: Wish, asking: Asking, answer: SubscribeAnswer, isStale: () => boolean) {
    const { epoch, offset, snapshot } = answer;
    const first = { position: { epoch, offset }, ...(snapshot !== undefined && { snapshot }) };
    // After a recovery nobody knows whether the channel has a snapshot.
    this.#answer ??= answer.recovered ? { ...first, snapshot: unknownSnapshot } : first;
    wish.resolve(first);
    const isWhole = this.reading.take(asking, answer);
    if (isStale()) return;
    if (isWhole) this.#following();
    else await this.#waitAfter(undefined);
  }

  async #renewed(asking: Asking, answer: SubscribeAnswer): Promise<void> {
    if (!this.reading.renew(asking, answer)) return this.#waitAfter(undefined);
    const { position } = this.reading;
    if (answer.snapshot === undefined && position !== undefined) this.#settleFresh({ position });
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
