import type { HistoryAnswer, Position, PresenceAnswer, PresenceChange, PublishAnswer } from "../protocol/wire.ts";
import { Emitter, type Listener, type Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { ChannelState } from "./reading.ts";
import { withRetries } from "./requests.ts";
import { type Link, type Subscribed, Subscription } from "./subscription.ts";

/** A publication as its reader gets it, by the name of its event. */
export type Publication<Events extends object = Record<string, unknown>> = {
  [Name in keyof Events & string]: {
    channel: string;
    event: Name;
    data: Events[Name];
    publishedAt: number;
    /** It was missed and brought back. */
    recovered: boolean;
    /** With `epoch` its place in the channel. Both are absent from what was sent live only, past the log. */
    offset?: number;
    epoch?: string;
  };
}[keyof Events & string];

export interface ChannelEvents<Events extends object = Record<string, unknown>, Snapshot = unknown> {
  /** Every publication once, in order. */
  publication: Publication<Events>;
  /** The whole state of a channel that has one: on the first subscription and after a reset. Publications follow it. */
  snapshot: { snapshot: Snapshot; position: Position };
  /** After a cut or a hole: everything missed has been delivered; `count` is how many publications those were. */
  recovered: { position: Position; count: number };
  /** What was missed is gone. Publications go on after `position`; state that was built from them must be loaded anew. */
  reset: { position: Position; previous: Position; snapshot?: Snapshot };
  state: { state: ChannelState; previous: ChannelState };
  /** Who came and went, where the channel has presence. After `recovered` and `reset` ask `presence()` again. */
  presence: PresenceChange;
  /** The gateway refused the subscription or took it away. Where that passes, the client subscribes again by itself. */
  unsubscribed: { code: TidegateError["code"]; message: string; willReturn: boolean };
}

export interface PublishOptions {
  /** A repeat with the same key is not published again. @default a random one where `retries` is set */
  idempotencyKey?: string;
  /** How often to repeat, with the same key, where no answer came or the gateway cannot at the moment. @default 0 */
  retries?: number;
}

/** A subscription of one part of a page. */
export interface AcquiredChannel<Snapshot = unknown> {
  /** What `subscribe` resolves with. */
  readonly subscribed: Promise<{ position: Position; snapshot?: Snapshot }>;
  /** Ends it, and the channel's subscription with the last of its users. Harmless when repeated. */
  release(): Promise<void>;
}

/**
 * One channel as this client reads it. `Events` maps the names of its events to their data, `Snapshot` is its snapshot:
 * `client.channel<{ said: { text: string } }>("chat:lobby")`.
 */
export interface Channel<Events extends object = Record<string, unknown>, Snapshot = unknown> {
  readonly name: string;
  readonly state: ChannelState;
  /** Of the last publication delivered; undefined before the first subscription. */
  readonly position: Position | undefined;
  on<Name extends keyof ChannelEvents>(name: Name, listener: Listener<ChannelEvents<Events, Snapshot>[Name]>): Off;
  /**
   * Keeps the channel subscribed from now on, over cuts and on any node. Resolves when subscribed, however long that
   * takes; rejects if the gateway refuses it for good. With `since`, a position kept from before, what was missed since
   * follows; that counts for the first of several users of the channel.
   */
  subscribe(options?: { since?: Position }): Promise<{ position: Position; snapshot?: Snapshot }>;
  /**
   * The same for one part of a page, which ends it with a function of its own: however often that is called, it takes
   * nobody else's subscription.
   */
  acquire(options?: { since?: Position }): AcquiredChannel<Snapshot>;
  /**
   * Undoes one `subscribe`. The last one ends the subscription and forgets its position; it resolves when the gateway
   * knows.
   */
  unsubscribe(): Promise<void>;
  publish<Name extends keyof Events & string>(
    event: Name,
    data: Events[Name],
    options?: PublishOptions,
  ): Promise<PublishAnswer>;
  /** The channel's log: its newest publications, or those after `since`. */
  history(options?: { since?: Position; limit?: number }): Promise<HistoryAnswer>;
  presence(): Promise<PresenceAnswer>;
}

/** The one implementation; what a channel's data looks like is known to its reader only. */
export class ChannelHandle implements Channel {
  readonly name: string;
  readonly subscription: Subscription;
  readonly #link: Link;
  readonly #emitter = new Emitter<ChannelEvents>();
  readonly #changed: (handle: ChannelHandle) => void;

  /** `changed` hears whenever the channel's state or its use may have become another. */
  constructor(name: string, link: Link, changed: (handle: ChannelHandle) => void) {
    this.name = name;
    this.#link = link;
    this.#changed = changed;
    this.subscription = new Subscription(name, link, (event, argument) => {
      if (event === "state") changed(this);
      this.#emitter.emit(event, argument as ChannelEvents[typeof event]);
    });
  }

  get state(): ChannelState {
    return this.subscription.reading.state;
  }

  get position(): Position | undefined {
    return this.subscription.reading.position;
  }

  get isInUse(): boolean {
    return this.subscription.isActive || this.#emitter.isHeard;
  }

  on<Name extends keyof ChannelEvents>(name: Name, listener: Listener<ChannelEvents[Name]>): Off {
    const off = this.#emitter.on(name, listener);
    this.#changed(this);
    return () => {
      off();
      this.#changed(this);
    };
  }

  tellPresence(change: PresenceChange): void {
    this.#emitter.emit("presence", change);
  }

  subscribe(options: { since?: Position } = {}): Promise<Subscribed> {
    return this.subscription.want(this, options.since);
  }

  acquire(options: { since?: Position } = {}): AcquiredChannel {
    const user = {};
    const subscribed = this.subscription.want(user, options.since);
    // Who does not look at the promise hears of a refusal by the event.
    subscribed.catch(() => undefined);
    return { subscribed, release: () => this.#leave(user) };
  }

  unsubscribe(): Promise<void> {
    return this.#leave(this);
  }

  async #leave(user: object): Promise<void> {
    await this.subscription.unwant(user);
    this.#changed(this);
  }

  publish(event: string, data: unknown, options: PublishOptions = {}): Promise<PublishAnswer> {
    const { retries = 0, idempotencyKey = retries > 0 ? randomKey() : undefined } = options;
    const message = { channel: this.name, event, data, ...(idempotencyKey !== undefined && { idempotencyKey }) };
    return withRetries(() => this.#link.request("publish", message), retries, this.#link.backoff);
  }

  history(options: { since?: Position; limit?: number } = {}): Promise<HistoryAnswer> {
    return this.#link.request("history", { channel: this.name, ...options });
  }

  presence(): Promise<PresenceAnswer> {
    return this.#link.request("presence", { channel: this.name });
  }
}

/**
 * 128 random bits. `crypto.randomUUID` is missing on pages without TLS, and all of `crypto` in Node 18 and React Native.
 * A key has to be unique, not secret.
 */
function randomKey(): string {
  const bytes = new Uint8Array(16);
  const source = (globalThis as { crypto?: { getRandomValues(bytes: Uint8Array): unknown } }).crypto;
  if (source === undefined) for (let index = 0; index < bytes.length; index += 1) bytes[index] = Math.random() * 256;
  else source.getRandomValues(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
