import type { LivePublication, Position, StateSnapshot, SubscribeAnswer, Unsubscribed } from "../protocol/wire.ts";
import { type Backoff, type CancellableDelay, retryDelay } from "./backoff.ts";
import { type Deferred, deferred } from "./deferred.ts";
import { isPermanent, TidegateError } from "./errors.ts";
import type { Pacer } from "./pacer.ts";
import { ChannelReader, type EmitChannelEvent } from "./channel-reader.ts";
import type { ChannelItem } from "./position.ts";
import type { SendRequest } from "./requests.ts";

/** Dependencies of a subscription. */
export interface SubscriptionContext {
  readonly request: SendRequest;
  readonly pacer: Pacer;
  readonly backoff: Backoff;
  /** Number of the current connection; undefined while disconnected. */
  connection(): number | undefined;
  /** Set after the client was closed. */
  closedBy(): TidegateError | undefined;
}

export interface SubscribeResult {
  position: Position;
  snapshot?: unknown;
}

type PendingSubscribe = Deferred<SubscribeResult>;

function createPending(): PendingSubscribe {
  const pending: PendingSubscribe = deferred();
  // A refusal is also reported by the `unsubscribed` event.
  pending.promise.catch(() => undefined);
  return pending;
}

/** As opposed to the snapshots of built-in kinds. */
const isStateSnapshot = (snapshot: unknown): snapshot is StateSnapshot => {
  const { revision, entries } = Object(snapshot) as Partial<StateSnapshot>;
  return typeof revision === "number" && typeof entries === "object" && !Array.isArray(entries);
};

const unknownSnapshot = Symbol("unknown");

/**
 * One channel's subscription across connections. The desired state and the node's state are separate, and one loop
 * reconciles them, so the order of disconnects, answers and calls does not matter.
 */
export class ChannelSubscription {
  readonly reader: ChannelReader;
  readonly #name: string;
  readonly #context: SubscriptionContext;
  readonly #emit: EmitChannelEvent;
  #pending: PendingSubscribe | undefined;
  /** Users of the channel and how often each subscribed, so that leaving twice does not affect another user. */
  readonly #users = new Map<object, number>();
  /** The first answer. */
  #answer: SubscribeResult | undefined;
  /** A snapshot is to be requested for later users. */
  #pendingSnapshot: PendingSubscribe | undefined;
  /** Whether the node may have this subscription. */
  #isSubscribed = false;
  /** Whether the reader was current when the connection was lost, so that Socket.IO's recovery may continue there. */
  #canReplay = false;
  #failures = 0;
  #retryDelay: CancellableDelay | undefined;
  #reconciliation: Promise<void> = Promise.resolve();
  #isReconciling = false;

  constructor(name: string, context: SubscriptionContext, emit: EmitChannelEvent) {
    this.reader = new ChannelReader((event, argument) => {
      emit(event, argument);
      if (event === "snapshot") this.#resolveSnapshot(argument as SubscribeResult);
    });
    this.#name = name;
    this.#context = context;
    this.#emit = emit;
  }

  /** Desired, or not yet unsubscribed at the node. */
  get isActive(): boolean {
    return this.#pending !== undefined || this.#isSubscribed || this.#isReconciling;
  }

  /**
   * Adds a subscribe of `user`. Resolves with the first answer, or, if it came before, with the channel's current
   * state.
   */
  addUser(user: object, since: Position | undefined): Promise<SubscribeResult> {
    const end = this.#context.closedBy();
    if (end !== undefined) return Promise.reject(end);
    this.#users.set(user, (this.#users.get(user) ?? 0) + 1);
    if (this.#pending !== undefined) return this.#addToExisting(this.#pending);
    const pending = (this.#pending = createPending());
    this.reader.start(since);
    void this.#reconcile();
    return pending.promise;
  }

  /** Undoes one `addUser`. After the last one: resolves when the node has confirmed, or at once if disconnected. */
  removeUser(user: object): Promise<void> {
    const left = (this.#users.get(user) ?? 0) - 1;
    if (left > 0) this.#users.set(user, left);
    else this.#users.delete(user);
    if (this.#users.size > 0) return Promise.resolve();
    this.end(new TidegateError("closed", `${this.#name} was unsubscribed.`));
    return this.#reconcile();
  }

  /** Requests the snapshot again. Every publication is still delivered, before or after it. */
  reloadSnapshot(): void {
    if (this.#pending !== undefined) void this.#requestSnapshot();
  }

  /** Ends the subscription and rejects pending calls with `reason`. */
  end(reason: TidegateError): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = this.#answer = undefined;
    this.#users.clear();
    pending.reject(reason);
    this.#pendingSnapshot?.reject(reason);
    this.#pendingSnapshot = undefined;
    this.reader.stop();
  }

  #addToExisting(pending: PendingSubscribe): Promise<SubscribeResult> {
    if (this.#answer === undefined) return pending.promise;
    const { position } = this.reader;
    if (this.#answer.snapshot === undefined && position !== undefined) return Promise.resolve({ position });
    return this.#requestSnapshot();
  }

  #requestSnapshot(): Promise<SubscribeResult> {
    const pending = (this.#pendingSnapshot ??= createPending());
    void this.#reconcile();
    return pending.promise;
  }

  #resolveSnapshot(subscribed: SubscribeResult): void {
    this.#pendingSnapshot?.resolve(subscribed);
    this.#pendingSnapshot = undefined;
  }

  /** Connected; `recovered` if Socket.IO recovered the node's subscriptions. */
  connected(recovered: boolean): void {
    if (!recovered) this.#isSubscribed = false;
    if (recovered && this.#canReplay && this.#pending !== undefined) this.reader.startReplay();
    void this.#reconcile();
  }

  /** Socket.IO's recovery has ended; `positions` contains the node's subscriptions of this connection. */
  recoveryEnded(positions: ReadonlyMap<string, Position>): void {
    if (!this.reader.endReplay(positions.get(this.#name))) void this.#reconcile();
  }

  disconnected(): void {
    this.#canReplay = this.reader.isCurrent;
    this.reader.markBehind();
  }

  receive(item: ChannelItem | LivePublication): void {
    if (this.#pending === undefined || this.reader.receive(item)) return;
    void this.#reconcile();
  }

  unsubscribed({ code, message }: Unsubscribed): void {
    if (this.#pending === undefined) return;
    this.#isSubscribed = false;
    const error = new TidegateError(code, message);
    if (isPermanent(error)) return this.#refused(error);
    this.reader.markBehind();
    this.#emit("unsubscribed", { code, message, willReturn: true });
    // All subscribers of a node lose it at the same time; the delay spreads their retries.
    if (!this.#isReconciling) void this.#delayRetry().then(() => this.#reconcile());
  }

  #reconcile(): Promise<void> {
    this.#failures = 0;
    this.#retryDelay?.end();
    if (!this.#isReconciling) this.#reconciliation = this.#reconcileUntilDone();
    return this.#reconciliation;
  }

  /** Resets `#isReconciling` in the same tick in which it finds nothing to do, so that a later gap starts it again. */
  async #reconcileUntilDone(): Promise<void> {
    this.#isReconciling = true;
    while (this.#context.connection() !== undefined && !this.#isReconciled) {
      await (this.#pending === undefined ? this.#unsubscribe() : this.#subscribe(this.#pending));
    }
    this.#isReconciling = false;
  }

  get #isReconciled(): boolean {
    if (this.#pending === undefined) return !this.#isSubscribed;
    return this.reader.isCurrent && this.#pendingSnapshot === undefined;
  }

  async #unsubscribe(): Promise<void> {
    try {
      await this.#context.request("unsubscribe", { channel: this.#name });
    } catch (error) {
      if (!isPermanent(error)) return this.#delayRetry(error);
    }
    this.#isSubscribed = false;
  }

  async #subscribe(pending: PendingSubscribe): Promise<void> {
    const connection = this.#context.connection();
    const isStale = (): boolean => this.#pending !== pending || this.#context.connection() !== connection;
    const { position, isCurrent } = this.reader;
    try {
      // A current reader requests the snapshot, which is only sent without a position.
      const answer = await this.#context.pacer.run(() =>
        this.#sendSubscribe(isCurrent ? undefined : position, isStale),
      );
      if (this.#context.connection() === connection) this.#noteAnswer(pending, answer);
      if (isCurrent && !isStale()) await this.#applySnapshot(answer);
      else if (!isCurrent && this.#pending === pending) await this.#applyAnswer(pending, answer, isStale);
    } catch (error) {
      if (isStale()) return;
      if (isPermanent(error)) this.#refused(error);
      else await this.#delayRetry(error);
    }
  }

  /** Changes of the keyed state follow the answer at once, whatever publications are still missing. */
  #noteAnswer(pending: PendingSubscribe, { snapshot }: SubscribeAnswer): void {
    this.#isSubscribed = true;
    if (this.#pending === pending && isStateSnapshot(snapshot)) this.#emit("entries", snapshot);
  }

  async #sendSubscribe(since: Position | undefined, isStale: () => boolean): Promise<SubscribeAnswer> {
    if (isStale()) throw new TidegateError("disconnected", "The subscription is no longer active.");
    this.#isSubscribed = true;
    return this.#context.request("subscribe", { channel: this.#name, ...(since !== undefined && { since }) });
  }

  /** An answer from before a disconnect still counts; later publications are requested again. */
  async #applyAnswer(pending: PendingSubscribe, answer: SubscribeAnswer, isStale: () => boolean) {
    const { epoch, offset, snapshot } = answer;
    const first = { position: { epoch, offset }, ...(snapshot !== undefined && { snapshot }) };
    // After a recovery it is unknown whether the channel has a snapshot.
    this.#answer ??= answer.recovered ? { ...first, snapshot: unknownSnapshot } : first;
    pending.resolve(first);
    const isWhole = this.reader.applyAnswer(answer);
    if (isStale()) return;
    if (!isWhole) return this.#delayRetry();
    this.#failures = 0;
    this.reader.markCurrent();
  }

  async #applySnapshot(answer: SubscribeAnswer): Promise<void> {
    if (!this.reader.applySnapshot(answer)) return this.#delayRetry();
    const { position } = this.reader;
    if (answer.snapshot === undefined && position !== undefined) this.#resolveSnapshot({ position });
  }

  #refused(error: TidegateError): void {
    this.#isSubscribed = false;
    this.end(error);
    this.#emit("unsubscribed", { code: error.code, message: error.message, willReturn: false });
  }

  async #delayRetry(error?: unknown): Promise<void> {
    this.#retryDelay = retryDelay(this.#failures, this.#context.backoff, error);
    this.#failures += 1;
    await this.#retryDelay.done;
  }
}
