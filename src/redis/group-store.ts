import type { RedisClient } from "./connections.ts";
import { loadScript } from "./scripts.ts";

/** An entry of a stream as its group delivers it. */
export interface GroupEntry {
  id: string;
  /** Names and values in turn, as they were added. */
  fields: readonly string[];
  /** How often it was delivered, this time included. */
  deliveries: number;
}

export type ReadResult =
  | { kind: "standby" }
  | { kind: "begun" }
  /** `next`: where to go on with pending entries, undefined when through; the last id delivered where nothing is new. */
  | { kind: "turn"; next: string | undefined; entries: GroupEntry[] };

/** Where a stream is and who reads it; stream and lease lie in one slot. */
export interface GroupNames {
  stream: string;
  lease: string;
  group: string;
  /** Unlike that of any other process, also of an earlier one of the same node. */
  consumer: string;
}

/**
 * One stream, read by one consumer of its group at a time: whoever holds the lease. Reading and holding are one script,
 * so who lost the turn without knowing it reads nothing.
 */
export interface GroupStore {
  renew(): Promise<ReadResult>;
  takeNew(most: number): Promise<ReadResult>;
  /** What others left pending; `from` is `-` or the `next` of the call before. */
  takePending(most: number, from: string): Promise<ReadResult>;
  /** Counts a delivery of a pending entry; false where the turn is another's. */
  mark(id: string): Promise<boolean>;
  acknowledge(ids: readonly string[]): Promise<void>;
  trim(): Promise<void>;
  /** Resolves when something came after `id`, or `timeoutMs` passed. */
  waitForEntries(id: string, timeoutMs: number): Promise<void>;
  releaseLease(): Promise<void>;
}

export interface GroupStoreOptions {
  leaseMs: number;
  /** Deliveries after which an entry that is pending again is a suspect. */
  suspectAfter: number;
}

export function createGroupStore(
  /** `commands` fails fast; `blocking` is this store's own. */
  { commands, blocking }: { commands: RedisClient; blocking: RedisClient },
  { stream, lease, group, consumer }: GroupNames,
  { leaseMs, suspectAfter }: GroupStoreOptions,
): GroupStore {
  const takeScript = loadScript(commands, new URL("./take-entries.lua", import.meta.url));
  const markScript = loadScript(commands, new URL("./mark-entry.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("./release-lease.lua", import.meta.url));
  const trimScript = loadScript(commands, new URL("./trim-entries.lua", import.meta.url));

  async function take(most: number, from: string): Promise<ReadResult> {
    const reply = await takeScript.run([stream, lease], [group, consumer, leaseMs, most, from, suspectAfter]);
    return toReadResult(reply as ReadReply);
  }

  return {
    renew: () => take(0, ""),
    takeNew: (most) => take(most, ""),
    takePending: take,
    mark: async (id) => (await markScript.run([stream, lease], [group, consumer, id])) === 1,
    async acknowledge(ids) {
      await commands.xack(stream, group, ...ids);
    },
    async trim() {
      await trimScript.run([stream], [group, consumer]);
    },
    async waitForEntries(id, timeoutMs) {
      await blocking.xread("COUNT", 1, "BLOCK", timeoutMs, "STREAMS", stream, id);
    },
    async releaseLease() {
      await endScript.run([lease], [consumer]);
    },
  };
}

type ReadReply = [kind: ReadResult["kind"], next?: string, ...flat: (string | number | string[])[]];

function toReadResult([kind, next = "", ...flat]: ReadReply): ReadResult {
  if (kind !== "turn") return { kind };
  const entries: GroupEntry[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) {
    entries.push({ id: flat[i] as string, deliveries: flat[i + 1] as number, fields: flat[i + 2] as string[] });
  }
  return { kind, next: next === "" ? undefined : next, entries };
}
