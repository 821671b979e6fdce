import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logger.ts";
import { FeedHubLink } from "./feed-hub-link.ts";
import type { FeedConnections, ShardedFeed } from "./sharded-feed.ts";

export interface WorkerFeedDeps {
  /** The worker's own feed from Redis, without subscriptions while the hub is used. */
  own: ShardedFeed & FeedConnections;
  /** Path of the hub's Unix socket. */
  path: string;
  clock: Clock;
  log: Logger;
}

export interface WorkerFeedOptions {
  /** Milliseconds until the hub is tried again. @default 5000 */
  retryHubMs?: number;
}

/** Delay until refused subscriptions are retried after a change of the source. */
const retryMs = 500;

type OnMessage = (message: Buffer) => void;

/**
 * The feed of a worker: from the hub of its machine, or, while that does not deliver, over the worker's own connections.
 * After each change of the source, messages may have been lost, as after a lost connection; none is received twice.
 */
export class WorkerFeed implements ShardedFeed, FeedConnections {
  readonly #deps: WorkerFeedDeps;
  readonly #retryHubMs: number;
  readonly #subscriptions = new Map<string, OnMessage>();
  readonly #listeners: (() => void)[] = [];
  #source: ShardedFeed;
  #link: FeedHubLink | undefined;
  #isStopped = false;

  constructor(deps: WorkerFeedDeps, { retryHubMs = 5_000 }: WorkerFeedOptions = {}) {
    this.#deps = deps;
    this.#retryHubMs = retryHubMs;
    this.#source = deps.own;
    deps.own.onRestored(() => this.#source === deps.own && this.reportGap());
  }

  async start(): Promise<void> {
    const { path, clock, log } = this.#deps;
    const link = await FeedHubLink.open(path, clock).catch(() => undefined);
    if (this.#isStopped) return link?.close();
    if (link === undefined) return this.#tryAgain();
    this.#link = link;
    link.onRestored(() => this.#source === link && this.reportGap());
    void link.closed.then(() => this.#useOwn());
    log.info({}, "using the shared feed");
    this.#use(link);
  }

  stop(): void {
    this.#isStopped = true;
    this.#link?.close();
  }

  /** The answer of the source that is used in the end counts. */
  async subscribe(key: string, onMessage: OnMessage): Promise<void> {
    this.#subscriptions.set(key, onMessage);
    const source = this.#source;
    const isStale = (): boolean => this.#source !== source && this.#subscriptions.get(key) === onMessage;
    try {
      await source.subscribe(key, onMessage);
    } catch (error) {
      if (!isStale()) throw error;
    }
    if (isStale()) await this.subscribe(key, onMessage);
  }

  unsubscribe(key: string): void {
    this.#subscriptions.delete(key);
    this.#source.unsubscribe(key);
  }

  onRestored(restored: () => void): void {
    this.#listeners.push(restored);
  }

  /** Redis' masters, so that each is probed, whichever way its messages come. */
  connectionOf(key: string): object | undefined {
    return this.#deps.own.connectionOf(key);
  }

  get connectionCount(): number {
    return this.#deps.own.connectionCount;
  }

  /** A hub that does not deliver is left. */
  reconnect(key: string): void {
    if (this.#link === undefined) this.#deps.own.reconnect(key);
    else this.#link.close();
  }

  reportGap(): void {
    for (const restored of this.#listeners) restored();
  }

  #useOwn(): void {
    this.#link = undefined;
    if (this.#isStopped) return;
    this.#deps.log.warn({}, "the shared feed was lost; subscribing to Redis directly");
    this.#use(this.#deps.own);
    this.#tryAgain();
  }

  #tryAgain(): void {
    this.#deps.clock.after(this.#retryHubMs, () => void (this.#isStopped || this.start()));
  }

  #use(source: ShardedFeed): void {
    const before = this.#source;
    this.#source = source;
    for (const key of this.#subscriptions.keys()) before.unsubscribe(key);
    void this.#subscribeAll(source, [...this.#subscriptions.keys()]);
  }

  /** Retries what is refused, such as by one master of several, without delaying the repair of the rest. */
  async #subscribeAll(source: ShardedFeed, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const confirmed = await Promise.all(keys.map((key) => this.#isConfirmed(source, key)));
    if (this.#source !== source) return;
    const refused = keys.filter((_, index) => confirmed[index] === false);
    if (refused.length < keys.length) this.reportGap();
    this.#deps.clock.after(retryMs, () => this.#source === source && void this.#subscribeAll(source, refused));
  }

  /** True also if nobody wants it any more. */
  async #isConfirmed(source: ShardedFeed, key: string): Promise<boolean> {
    const onMessage = this.#subscriptions.get(key);
    return (
      onMessage === undefined ||
      source.subscribe(key, onMessage).then(
        () => true,
        () => false,
      )
    );
  }
}
