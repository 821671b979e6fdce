import { fromText } from "../channels/packets.ts";
import type { PublicationSender } from "../channels/publication.ts";

/** One change of a key. */
export interface StateWrite {
  key: string;
  /** JSON in canonical form; undefined removes the key. */
  value: string | undefined;
  from?: PublicationSender | undefined;
  /** Epoch milliseconds at which the key expires. */
  dueAt?: number | undefined;
}

export interface StoredEntry {
  timestamp: number;
  /** `{ value, from?, updatedAt }` */
  json: string;
}

/** A channel's state as of one revision. */
export interface StoredState {
  revision: number;
  /** Of the last change, in microseconds of Redis' clock; 0 if there was none. */
  timestamp: number;
  /** Removals up to this timestamp may be missing in `removed`. */
  forgotten: number;
  /** Milliseconds until the next key expires. */
  nextInMs: number | undefined;
  entries: ReadonlyMap<string, StoredEntry>;
  /** Removed keys, with the timestamp of their removal. */
  removed: ReadonlyMap<string, number>;
}

/** Changes of one revision, as received from the feed. */
export interface ReceivedChanges {
  revision: number;
  timestamp: number;
  previousTimestamp: number;
  changes: Map<string, ReceivedChange>;
}

export interface ReceivedChange {
  /** `{ key, value, from? }` as JSON. */
  text: string;
  isRemoved: boolean;
}

/** The JSON of an entry without its end; the script adds when it was made. Empty for a removal. */
export const entryHead = ({ value, from }: StateWrite): string =>
  value === undefined ? "" : `{"value":${value}${fromText(from)}`;

/** One element of `changes` in a `state` event. */
export const changeText = ({ key, value = "null", from }: Omit<StateWrite, "dueAt">): string =>
  `{"key":${JSON.stringify(key)},"value":${value}${fromText(from)}}`;

/** The change that makes `entry` the value of the key. */
export const changeTo = (key: string, { json }: StoredEntry): string => {
  const end = json.lastIndexOf(',"updatedAt":');
  return `{"key":${JSON.stringify(key)},${json.slice(1, end)}}`;
};

/** The packet of a `state` event. */
export const statePacket = (channel: string, revision: number, changes: Iterable<string>): Buffer =>
  Buffer.from(
    `42["state",{"channel":${JSON.stringify(channel)},"revision":${revision},"changes":[${[...changes].join(",")}]}]`,
  );

/** `<revision>:<timestamp>:<timestamp before>`, then a line for each key and each change. Undefined for anything else. */
export function parseChanges(message: Buffer): ReceivedChanges | undefined {
  const [head = "", ...lines] = message.toString().split("\n");
  const match = /^(\d{1,16}):(\d{1,16}):(\d{1,16})$/.exec(head);
  if (match === null || lines.length === 0 || lines.length % 2 !== 0) return undefined;
  const changes = new Map<string, ReceivedChange>();
  for (let i = 0; i < lines.length; i += 2) {
    const change = toChange(lines[i + 1] as string);
    if (change === undefined) return undefined;
    changes.set(lines[i] as string, change);
  }
  return { revision: Number(match[1]), timestamp: Number(match[2]), previousTimestamp: Number(match[3]), changes };
}

/** Anybody who can write to Redis can send a message; clients must not receive a packet that they cannot parse. */
function toChange(text: string): ReceivedChange | undefined {
  try {
    const { value } = JSON.parse(text) as { value?: unknown };
    return { text, isRemoved: value === null };
  } catch {
    return undefined;
  }
}
