import type { PublicationSender, StateChanges, StateSetAnswer, StateSnapshot } from "../protocol/wire.ts";
import { Emitter, type Off } from "./emitter.ts";
import { isTemporary, TidegateError } from "./errors.ts";
import { LiveChannel, type LiveViewContext } from "./live-channel.ts";
import { type Live, type LiveEvents, type SharedView, LiveView } from "./live-view.ts";

/** One key of a channel's state. */
export interface LiveEntry<Value = unknown> {
  value: Value;
  /** Absent if a backend set it. */
  from?: PublicationSender;
}

export interface LiveStateEvents<Value = unknown> extends LiveEvents {
  /** These keys were set or removed; `entry` is undefined for a removed one. */
  change: { key: string; entry: LiveEntry<Value> | undefined }[];
}

export interface SetOptions {
  /** Removes the key after this time unless it is set again. */
  ttlSeconds?: number;
  /** Removes the key when this client disconnects; it is set again when the client is back. @default false */
  own?: boolean;
}

/** The keyed state of a channel, live. */
export interface LiveState<Value = unknown> extends Live<LiveStateEvents<Value>> {
  readonly channel: string;
  /** By key; a new map after each change. */
  readonly entries: ReadonlyMap<string, LiveEntry<Value>>;
  /** Number of changes of the channel's state so far. */
  readonly revision: number;
  get(key: string): Value | undefined;
  /** Rejects with a TidegateError. */
  set(key: string, value: Value, options?: SetOptions): Promise<StateSetAnswer>;
  remove(key: string): Promise<StateSetAnswer>;
}

/** A key that goes with the connection, to be set again on the next one. */
interface OwnKey {
  value: unknown;
  ttlSeconds?: number | undefined;
  /** Epoch milliseconds. */
  until: number;
}

/** The state of one channel, shared by its views. */
export class SharedState implements SharedView<LiveStateEvents> {
  readonly emitter = new Emitter<LiveStateEvents>();
  readonly live: LiveChannel<unknown>;
  readonly channel: string;
  readonly #context: LiveViewContext;
  readonly #own = new Map<string, OwnKey>();
  readonly #offUser: Off;
  #entries: ReadonlyMap<string, LiveEntry> = new Map();
  #revision = 0;
  #connectionId: string | undefined;

  constructor(channel: string, context: LiveViewContext) {
    this.channel = channel;
    this.#context = context;
    this.#connectionId = context.connectionId();
    this.live = new LiveChannel<unknown>(
      context,
      {
        reset: () => undefined,
        apply: () => undefined,
        replace: (snapshot) => this.#replace(snapshot),
        change: (changes) => this.#change(changes),
      },
      this.emitter,
    );
    this.live.open(channel);
    this.#offUser = context.onUser(() => this.#setOwnAgain());
  }

  get entries(): ReadonlyMap<string, LiveEntry> {
    return this.#entries;
  }

  get revision(): number {
    return this.#revision;
  }

  get hasEnded(): boolean {
    return this.live.hasEnded;
  }

  /** Keys of the connection stay; they go with it. */
  end(): void {
    this.#offUser();
    this.live.end();
  }

  async set(key: string, value: unknown, { ttlSeconds, own = false }: SetOptions): Promise<StateSetAnswer> {
    const isOwn = own && value !== null;
    const ownKey = { value, ttlSeconds, until: Date.now() + (ttlSeconds ?? Infinity) * 1_000 };
    if (isOwn) this.#own.set(key, ownKey);
    else this.#own.delete(key);
    try {
      return await this.#send(key, value, { ttlSeconds, own: isOwn });
    } catch (error) {
      const isRefused = error instanceof TidegateError && !isTemporary(error.code);
      if (isRefused && this.#own.get(key) === ownKey) this.#own.delete(key);
      throw error;
    }
  }

  #send(
    key: string,
    value: unknown,
    { ttlSeconds, own }: { ttlSeconds: number | undefined; own: boolean },
  ): Promise<StateSetAnswer> {
    return this.#context.request("state:set", {
      channel: this.channel,
      key,
      value,
      ...(ttlSeconds !== undefined && { ttlSeconds }),
      ...(own && { own }),
    });
  }

  /** The keys of the previous connection have gone with it. */
  #setOwnAgain(): void {
    const connectionId = this.#context.connectionId();
    this.#connectionId = connectionId;
    for (const [key, { value, ttlSeconds, until }] of this.#own) {
      if (until <= Date.now()) this.#own.delete(key);
      // Lost again, it is repeated with the next connection.
      else this.#send(key, value, { ttlSeconds, own: true }).catch(() => undefined);
    }
  }

  #replace({ revision, entries }: StateSnapshot): void {
    const before = this.#entries;
    this.#revision = revision;
    this.#entries = new Map(Object.entries(entries).map(([key, { value, from }]) => [key, entryOf(value, from)]));
    const removed = [...before.keys()].filter((key) => !this.#entries.has(key));
    const changed = [...this.#entries].filter(([key, entry]) => !isSame(before.get(key), entry));
    this.#tell([...removed.map((key) => [key, undefined] as const), ...changed]);
  }

  #change({ revision, changes }: StateChanges): void {
    const entries = new Map(this.#entries);
    for (const { key, value, from } of changes) {
      // Somebody else has set it, so it no longer goes with this connection.
      if (from !== undefined && from.connectionId !== this.#connectionId) this.#own.delete(key);
      if (value === null) entries.delete(key);
      else entries.set(key, entryOf(value, from));
    }
    this.#revision = revision;
    this.#entries = entries;
    this.#tell(changes.map(({ key }) => [key, entries.get(key)] as const));
  }

  #tell(changed: readonly (readonly [string, LiveEntry | undefined])[]): void {
    if (changed.length > 0)
      this.emitter.emit(
        "change",
        changed.map(([key, entry]) => ({ key, entry })),
      );
  }
}

const entryOf = (value: unknown, from: PublicationSender | undefined): LiveEntry => ({
  value,
  ...(from !== undefined && { from }),
});

const isSame = (one: LiveEntry | undefined, other: LiveEntry): boolean => JSON.stringify(one) === JSON.stringify(other);

export class StateView extends LiveView<LiveStateEvents, SharedState> implements LiveState {
  get channel(): string {
    return this.shared.channel;
  }

  get entries(): ReadonlyMap<string, LiveEntry> {
    return this.shared.entries;
  }

  get revision(): number {
    return this.shared.revision;
  }

  get(key: string): unknown {
    return this.shared.entries.get(key)?.value;
  }

  set(key: string, value: unknown, options: SetOptions = {}): Promise<StateSetAnswer> {
    return this.shared.set(key, value, options);
  }

  remove(key: string): Promise<StateSetAnswer> {
    return this.shared.set(key, null, {});
  }
}
