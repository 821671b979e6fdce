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
import type { InternalClient } from "./base-client.ts";
import { type AnyListener, createEmitter, type Emitter, type Listener, type Off } from "./emitter.ts";
import { isPermanent, type TidegateError } from "./errors.ts";
import type { ChannelState } from "./channel-reader.ts";
import { withRetries } from "./requests.ts";
import { type ChannelSubscription, createSubscription } from "./subscription.ts";

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
export interface EphemeralPublishOptions extends PublishOptions {
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

/** A channel as the client and its views see it; only its users know the types of its data. */
export interface ChannelHandle extends Channel, ChannelSubscription {
  readonly state: ChannelState;
  readonly position: Position | undefined;
  _onAny(listener: AnyListener): Off;
  _emit: Emitter<ChannelEvents>["emit"];
  /** Subscribed or listened to. */
  _isInUse(): boolean;
}

/** `changed` is called when the channel's state, or whether it is in use, may have changed. */
export function createChannel(name: string, client: InternalClient, changed: () => void): ChannelHandle {
  const { on, emit, _onAny, _hasListeners } = createEmitter<ChannelEvents>();
  /** Null if there is none. */
  let presenceData: unknown = null;

  const subscription = createSubscription(
    name,
    client,
    (event, argument) => {
      if (event === "state") stateChanged();
      emit(event, argument as ChannelEvents[typeof event]);
    },
    () => changed(),
  );

  /** Data goes with the connection. */
  const stateChanged = (): void => {
    changed();
    if (subscription.state === "unsubscribed") presenceData = null;
    // If that fails, the connection is lost again or the channel refuses it.
    if (subscription.state === "subscribed" && presenceData !== null) sendPresence().catch(() => undefined);
  };

  const sendPresence = () => client.request("presence:set", { channel: name, data: presenceData });

  const listening = (off: Off): Off => {
    changed();
    return () => {
      off();
      changed();
    };
  };

  const own: Omit<ChannelHandle, keyof ChannelSubscription> = {
    name,
    on: (event, listener) => listening(on(event, listener)),
    subscribe: (options) => subscription._addUser(channel, options?.since),
    acquire(options) {
      const user = {};
      const subscribed = subscription._addUser(user, options?.since);
      // A refusal is also reported by the `unsubscribed` event.
      subscribed.catch(() => undefined);
      return { subscribed, release: () => subscription._removeUser(user) };
    },
    unsubscribe: () => subscription._removeUser(channel),
    publish(event: string, data: unknown, { retries = 0, ...options }: PublishOptions & { ephemeral?: boolean } = {}) {
      const message = { channel: name, event, data, ...options };
      if (retries > 0) message.idempotencyKey ??= randomKey();
      // The options decide which of the two answers it is.
      return withRetries(() => client.request("publish", message) as Promise<never>, retries, client._backoff);
    },
    history: (options) => client.request("history", { channel: name, ...options }),
    presence: () => client.request("presence", { channel: name }),
    async setPresence(data) {
      const before = presenceData;
      presenceData = data;
      try {
        await sendPresence();
      } catch (error) {
        // A lost connection had its answer lost; it is sent again with the next one.
        if (isPermanent(error) && presenceData === data) presenceData = before;
        throw error;
      }
    },
    _onAny: (listener) => listening(_onAny(listener)),
    _emit: emit,
    _isInUse: () => subscription._isActive() || _hasListeners(),
  };
  const channel: ChannelHandle = Object.assign(subscription, own);
  return channel;
}

/**
 * 128 random bits. `crypto.randomUUID` is missing on pages without TLS, and `crypto` in Node 18 and React Native. A key
 * has to be unique, not secret.
 */
function randomKey(): string {
  const bytes = new Uint8Array(16).map(() => Math.random() * 256);
  (globalThis as { crypto?: { getRandomValues(bytes: Uint8Array): unknown } }).crypto?.getRandomValues(bytes);
  return Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join("");
}
