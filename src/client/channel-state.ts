import type { PublicationSender, RequestOf, StateChanges, StateSetAnswer, StateSnapshot } from "../protocol/wire.ts";
import { isPermanent } from "./errors.ts";
import { liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents } from "./live-view.ts";

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
  message: RequestOf<"state:set">;
  /** Epoch milliseconds. */
  until: number;
}

/** The state of one channel, shared by its views. */
export const createState: CreateState<LiveState, LiveStateEvents> = (channel, context, emit) => {
  const ownKeys = new Map<string, OwnKey>();
  let entries: ReadonlyMap<string, LiveEntry> = new Map();
  let revision = 0;
  let connectionId = context.connectionId();

  const send = (message: OwnKey["message"]): Promise<StateSetAnswer> => context.request("state:set", message);

  const set = async (key: string, value: unknown, { ttlSeconds, own }: SetOptions = {}): Promise<StateSetAnswer> => {
    const isOwn = own === true && value !== null;
    const message = { channel, key, value, ...(ttlSeconds !== undefined && { ttlSeconds }), ...(isOwn && { own }) };
    const ownKey = { message, until: Date.now() + (ttlSeconds ?? Infinity) * 1_000 };
    if (isOwn) ownKeys.set(key, ownKey);
    else ownKeys.delete(key);
    try {
      return await send(message);
    } catch (error) {
      if (isPermanent(error) && ownKeys.get(key) === ownKey) ownKeys.delete(key);
      throw error;
    }
  };

  /** The keys of the previous connection have gone with it. */
  const setOwnAgain = (): void => {
    connectionId = context.connectionId();
    for (const [key, { message, until }] of ownKeys) {
      if (until <= Date.now()) ownKeys.delete(key);
      // Lost again, it is repeated with the next connection.
      else send(message).catch(() => undefined);
    }
  };

  const update = (next: typeof entries, now: { revision: number }, changed: Iterable<string>): void => {
    entries = next;
    revision = now.revision;
    const change = Array.from(changed, (key) => ({ key, entry: next.get(key) }));
    if (change.length > 0) emit("change", change);
  };

  const replace = (snapshot: StateSnapshot): void => {
    const next = new Map(Object.entries(snapshot.entries).map(([key, { value, from }]) => [key, entryOf(value, from)]));
    const isChanged = (key: string): boolean => JSON.stringify(entries.get(key)) !== JSON.stringify(next.get(key));
    update(next, snapshot, [...new Set([...entries.keys(), ...next.keys()])].filter(isChanged));
  };

  const change = (changes: StateChanges): void => {
    const next = new Map(entries);
    for (const { key, value, from } of changes.changes) {
      // Somebody else has set it, so it no longer goes with this connection.
      if (from !== undefined && from.connectionId !== connectionId) ownKeys.delete(key);
      if (value === null) next.delete(key);
      else next.set(key, entryOf(value, from));
    }
    update(
      next,
      changes,
      changes.changes.map(({ key }) => key),
    );
  };

  const live = liveChannel(context, { replace, change }, emit);
  live.open(channel);
  return {
    live,
    view: {
      channel,
      get entries() {
        return entries;
      },
      get revision() {
        return revision;
      },
      get: (key) => entries.get(key)?.value,
      set,
      remove: (key) => set(key, null),
    },
    // Keys of the connection stay; they go with it.
    end: context.onUser(setOwnAgain),
  };
};

const entryOf = (value: unknown, from: PublicationSender | undefined): LiveEntry => ({ value, ...(from && { from }) });
