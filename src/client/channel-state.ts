import type { PublicationSender, RequestOf, StateSetAnswer } from "../protocol/wire.ts";
import { isPermanent } from "./errors.ts";
import { type ChannelReducer, liveChannel, onUser } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents, Shown } from "./live-view.ts";

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
  _message: RequestOf<"state:set">;
  /** Epoch milliseconds. */
  _until: number;
}

/** The state of one channel, shared by its views. */
export const createState: CreateState<LiveState, LiveStateEvents> = (channel, client, emit) => {
  const ownKeys = new Map<string, OwnKey>();
  let connectionId = client.socket.id;

  const send = (message: OwnKey["_message"]) => client.request("state:set", message);

  const set = async (key: string, value: unknown, { ttlSeconds, own }: SetOptions = {}): Promise<StateSetAnswer> => {
    const isOwn = own && value !== null;
    const message = { channel, key, value, ttlSeconds, own: isOwn || undefined } as OwnKey["_message"];
    const ownKey = { _message: message, _until: Date.now() + (ttlSeconds ?? Infinity) * 1_000 };
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
    connectionId = client.socket.id;
    for (const [key, { _message, _until }] of ownKeys) {
      if (_until <= Date.now()) ownKeys.delete(key);
      // Lost again, it is repeated with the next connection.
      else send(_message).catch(() => undefined);
    }
  };

  const view: Shown<LiveState> = {
    channel,
    entries: new Map(),
    revision: 0,
    get: (key) => view.entries.get(key)?.value,
    set,
    remove: (key) => set(key, null),
  };

  const update = (entries: typeof view.entries, { revision }: { revision: number }, keys: string[]): void => {
    Object.assign(view, { entries, revision });
    const change = keys.map((key) => ({ key, entry: entries.get(key) }));
    if (keys.length > 0) emit("change", change);
  };

  const reducer: ChannelReducer = {
    entries(snapshot) {
      const { entries } = view;
      const next = new Map(Object.entries(snapshot.entries).map(([key, entry]) => [key, entryOf(entry)]));
      const isChanged = (key: string): boolean => JSON.stringify(entries.get(key)) !== JSON.stringify(next.get(key));
      update(next, snapshot, [...new Set([...entries.keys(), ...next.keys()])].filter(isChanged));
    },
    changes(event) {
      const next = new Map(view.entries);
      for (const { key, ...entry } of event.changes) {
        const { value, from } = entry;
        // Somebody else has set it, so it no longer goes with this connection.
        if (from && from.connectionId !== connectionId) ownKeys.delete(key);
        if (value === null) next.delete(key);
        else next.set(key, entryOf(entry));
      }
      update(
        next,
        event,
        event.changes.map(({ key }) => key),
      );
    },
  };
  const live = liveChannel(client, view, reducer, emit);
  live._open(channel);
  // Keys of the connection stay; they go with it.
  live._cleanups.push(onUser(client, setOwnAgain));
  return live;
};

const entryOf = ({ value, from }: LiveEntry): LiveEntry => ({ value, ...(from && { from }) });
