import type {
  EphemeralPublishAnswer,
  HistoryAnswer,
  Position,
  PresenceAnswer,
  PresenceChange,
  PublicationSender,
  PublishAnswer,
  StateChanges,
  StateSnapshot,
} from "../protocol/wire.ts";
import { Emitter, type Listener, type Off } from "./emitter.ts";
import { isPermanent, type TidegateError } from "./errors.ts";
import type { ChannelState } from "./channel-reader.ts";
import { withRetries } from "./requests.ts";
import { type SubscriptionContext, type SubscribeResult, ChannelSubscription } from "./subscription.ts";

/** A publication, typed by the name of its event. */
export type Publication<Events extends object = Record<string, unknown>> = {
  [Name in keyof Events & string]: {
    channel: string;
    event: Name;
    data: Events[Name];
    publishedAt: number;
    /** Who published, as written by the gateway; absent if a backend published and named no user. */
    from?: PublicationSender;
    /** Whether it was missed and recovered. */
    recovered: boolean;
    /** With `epoch` its position in the channel. Both are absent if it was not kept in the channel's log. */
    offset?: number;
    epoch?: string;
  };
}[keyof Events & string];

export interface ChannelEvents<Events extends object = Record<string, unknown>, Snapshot = unknown> {
  /** Every publication, once and in order. */
  publication: Publication<Events>;
  /** The channel's snapshot, if its kind has one: after the first subscription and after a reset. */
  snapshot: { snapshot: Snapshot; position: Position };
  /** The whole keyed state, if the kind has one: with every answer to a subscribe request. */
  entries: StateSnapshot;
  /** What changed in the keyed state, in order. */
  changes: StateChanges;
  /** After a disconnect or a gap: all missed publications were delivered; `count` is their number. */
  recovered: { position: Position; count: number };
  /**
   * Missed publications are lost. Further ones follow after `position`; state built from publications must be reloaded.
   */
  reset: { position: Position; previous: Position; snapshot?: Snapshot };
  state: { state: ChannelState; previous: ChannelState };
  /**
   * Members that joined, left or changed, if the channel has presence. After `recovered` and `reset` call `presence()`.
   */
  presence: PresenceChange;
  /** The gateway refused or ended the subscription. If that is temporary, the client subscribes again by itself. */
  unsubscribed: { code: TidegateError["code"]; message: string; willReturn: boolean };
}

export interface PublishOptions {
  /** Publications with the same key are published once. @default a random key if `retries` is set */
  idempotencyKey?: string;
  /** Max retries, with the same key, after a timeout or a temporary error. @default 0 */
  retries?: number;
  /** `false`: this client does not receive its own publication; its other connections and tabs do. @default true */
  echo?: boolean;
}

/** Delivered to current subscribers only: not stored, not recovered, and dropped first for slow clients. */
export interface EphemeralPublishOptions extends Pick<PublishOptions, "echo"> {
  ephemeral: true;
}

/** The subscription of one user of a channel, such as one component of a page. */
export interface AcquiredChannel<Snapshot = unknown> {
  /** As `subscribe`. */
  readonly subscribed: Promise<{ position: Position; snapshot?: Snapshot }>;
  /** Ends it; the last user ends the channel's subscription. Repeated calls do nothing. */
  release(): Promise<void>;
}

/**
 * One channel of this client. `Events` maps the names of its events to their data, `Snapshot` is its snapshot:
 * `client.channel<{ said: { text: string } }>("chat:lobby")`. `Inputs` is the data to publish, if a contract's schemas
 * change it.
 */
export interface Channel<
  Events extends object = Record<string, unknown>,
  Snapshot = unknown,
  Inputs extends { [Name in keyof Events]: unknown } = Events,
> {
  readonly name: string;
  readonly state: ChannelState;
  /** Position of the last publication delivered; undefined before the first subscription. */
  readonly position: Position | undefined;
  on<Name extends keyof ChannelEvents>(name: Name, listener: Listener<ChannelEvents<Events, Snapshot>[Name]>): Off;
  /**
   * Keeps the channel subscribed across disconnects and node changes. Resolves when subscribed, however long that
   * takes; rejects if the gateway refuses it permanently. `since`, a stored position, recovers what was missed since
   * then; it only applies to the first of several users of the channel.
   */
  subscribe(options?: { since?: Position }): Promise<{ position: Position; snapshot?: Snapshot }>;
  /**
   * Subscribes on behalf of one user, such as a component of a page. Its `release` may be called repeatedly and never
   * affects other users.
   */
  acquire(options?: { since?: Position }): AcquiredChannel<Snapshot>;
  /**
   * Undoes one `subscribe`. The last one ends the subscription, forgets its position, and resolves when the gateway has
   * confirmed it.
   */
  unsubscribe(): Promise<void>;
  publish<Name extends keyof Events & string>(
    event: Name,
    data: Inputs[Name],
    options?: PublishOptions,
  ): Promise<PublishAnswer>;
  publish<Name extends keyof Events & string>(
    event: Name,
    data: Inputs[Name],
    options: EphemeralPublishOptions,
  ): Promise<EphemeralPublishAnswer>;
  /** The newest publications of the channel's log, or those after `since`. */
  history(options?: { since?: Position; limit?: number }): Promise<HistoryAnswer>;
  presence(): Promise<PresenceAnswer>;
  /**
   * Shows `data`, up to 1 KiB of JSON, to the other members, if the channel has presence; null removes it. It is set again
   * after every reconnect, until `unsubscribe`. The channel must be subscribed.
   */
  setPresence(data: unknown): Promise<void>;
}

/** The implementation of `Channel`; only its users know the types of the channel's data. */
export class ChannelHandle implements Channel {
  readonly name: string;
  readonly subscription: ChannelSubscription;
  readonly #context: SubscriptionContext;
  readonly #emitter = new Emitter<ChannelEvents>();
  readonly #onChange: (handle: ChannelHandle) => void;
  /** Null if there is none. */
  #presenceData: unknown = null;

  /** `onChange` is called when the channel's state, or whether it is in use, may have changed. */
  constructor(name: string, context: SubscriptionContext, onChange: (handle: ChannelHandle) => void) {
    this.name = name;
    this.#context = context;
    this.#onChange = onChange;
    this.subscription = new ChannelSubscription(name, context, (event, argument) => {
      if (event === "state") this.#stateChanged();
      this.#emitter.emit(event, argument as ChannelEvents[typeof event]);
    });
  }

  get state(): ChannelState {
    return this.subscription.reader.state;
  }

  get position(): Position | undefined {
    return this.subscription.reader.position;
  }

  get isInUse(): boolean {
    return this.subscription.isActive || this.#emitter.hasListeners;
  }

  on<Name extends keyof ChannelEvents>(name: Name, listener: Listener<ChannelEvents[Name]>): Off {
    const off = this.#emitter.on(name, listener);
    this.#onChange(this);
    return () => {
      off();
      this.#onChange(this);
    };
  }

  emitChanges(changes: StateChanges): void {
    if (this.subscription.isActive) this.#emitter.emit("changes", changes);
  }

  emitPresence(change: PresenceChange): void {
    this.#emitter.emit("presence", change);
  }

  subscribe(options: { since?: Position } = {}): Promise<SubscribeResult> {
    return this.subscription.addUser(this, options.since);
  }

  acquire(options: { since?: Position } = {}): AcquiredChannel {
    const user = {};
    const subscribed = this.subscription.addUser(user, options.since);
    // A refusal is also reported by the `unsubscribed` event.
    subscribed.catch(() => undefined);
    return { subscribed, release: () => this.#leave(user) };
  }

  unsubscribe(): Promise<void> {
    return this.#leave(this);
  }

  async #leave(user: object): Promise<void> {
    await this.subscription.removeUser(user);
    this.#onChange(this);
  }

  publish(event: string, data: unknown, options?: PublishOptions): Promise<PublishAnswer>;
  publish(event: string, data: unknown, options: EphemeralPublishOptions): Promise<EphemeralPublishAnswer>;
  publish(
    event: string,
    data: unknown,
    { retries = 0, ...options }: PublishOptions & { ephemeral?: boolean } = {},
  ): Promise<never> {
    const message = { channel: this.name, event, data, ...options };
    if (retries > 0) message.idempotencyKey ??= randomKey();
    // The options decide which of the two answers it is.
    const request = () => this.#context.request("publish", message) as Promise<never>;
    return withRetries(request, retries, this.#context.backoff);
  }

  history(options: { since?: Position; limit?: number } = {}): Promise<HistoryAnswer> {
    return this.#context.request("history", { channel: this.name, ...options });
  }

  presence(): Promise<PresenceAnswer> {
    return this.#context.request("presence", { channel: this.name });
  }

  async setPresence(data: unknown): Promise<void> {
    const before = this.#presenceData;
    this.#presenceData = data;
    try {
      await this.#sendPresence();
    } catch (error) {
      // A lost connection had its answer lost; it is sent again with the next one.
      if (isPermanent(error) && this.#presenceData === data) this.#presenceData = before;
      throw error;
    }
  }

  async #sendPresence(): Promise<void> {
    await this.#context.request("presence:set", { channel: this.name, data: this.#presenceData });
  }

  /** Data goes with the connection. */
  #stateChanged(): void {
    this.#onChange(this);
    if (this.state === "unsubscribed") this.#presenceData = null;
    // If that fails, the connection is lost again or the channel refuses it.
    if (this.state === "subscribed" && this.#presenceData !== null) this.#sendPresence().catch(() => undefined);
  }
}

/**
 * 128 random bits. `crypto.randomUUID` is missing on pages without TLS, and `crypto` in Node 18 and React Native. A key
 * has to be unique, not secret.
 */
function randomKey(): string {
  const bytes = new Uint8Array(16).map(() => Math.random() * 256);
  (globalThis as { crypto?: { getRandomValues(bytes: Uint8Array): unknown } }).crypto?.getRandomValues(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
