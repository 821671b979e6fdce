import type { RedisClient } from "../connections.ts";
import { loadScript } from "../scripts.ts";

/** An entry of a stream as its group delivers it. */
export interface GroupEntry {
  id: string;
  /** Names and values in turn, as they were added. */
  fields: readonly string[];
  /** Number of deliveries, including this one. */
  deliveries: number;
}

export type ReadResult =
  | { kind: "standby" }
  | { kind: "acquired" }
  /** `next`: where to continue with pending entries, undefined after the last; without new entries the last id delivered. */
  | { kind: "leader"; next: string | undefined; entries: GroupEntry[] };

/** A stream and its reader; all keys are in one slot. */
export interface GroupNames {
  stream: string;
  lease: string;
  /** Present while another consumer is to hold the lease. */
  claim: string;
  group: string;
  /** Unique per process, also among restarts of the same node. */
  consumer: string;
}

/**
 * One stream, read by one consumer of its group at a time: the holder of the leader lease. One script checks the lease and
 * reads, so a consumer that lost the lease without noticing reads nothing.
 */
export interface GroupStore {
  /** `isClaimed`: another consumer is to hold the lease. */
  renew(): Promise<{ isLeader: boolean; isClaimed: boolean }>;
  readNew(max: number): Promise<ReadResult>;
  /** Entries left pending by other consumers; `from` is `-` or the `next` of the previous call. */
  readPending(max: number, from: string): Promise<ReadResult>;
  /** Counts a delivery of a pending entry; false if another consumer holds the lease. */
  mark(id: string): Promise<boolean>;
  acknowledge(ids: readonly string[]): Promise<void>;
  trim(): Promise<void>;
  /** Resolves when the stream has an entry after `id`, or after `timeoutMs`. */
  waitForEntries(id: string, timeoutMs: number): Promise<void>;
  releaseLease(): Promise<void>;
}

export interface GroupStoreOptions {
  leaseMs: number;
  /** Deliveries after which a pending entry is a suspect. */
  suspectAfter: number;
  /** Whether this consumer is to hold the lease, and claims it while another does. */
  claims: () => boolean;
}

export function createGroupStore(
  /** `commands` fails fast; `blocking` is used by this store alone. */
  { commands, blocking }: { commands: RedisClient; blocking: RedisClient },
  { stream, lease, claim, group, consumer }: GroupNames,
  { leaseMs, suspectAfter, claims }: GroupStoreOptions,
): GroupStore {
  const readScript = loadScript(commands, new URL("./read-entries.lua", import.meta.url));
  const markScript = loadScript(commands, new URL("./mark-entry.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("../release-lease.lua", import.meta.url));
  const trimScript = loadScript(commands, new URL("./trim-entries.lua", import.meta.url));

  async function run(max: number, from: string): Promise<ReadReply> {
    const args = [group, consumer, leaseMs, max, from, suspectAfter, claims() ? 1 : 0];
    return (await readScript.run([stream, lease, claim], args)) as ReadReply;
  }
  const read = async (max: number, from: string) => toReadResult(await run(max, from));

  return {
    async renew() {
      const [kind, isClaimed] = await run(0, "");
      return { isLeader: kind === "leader", isClaimed: Number(isClaimed) === 1 };
    },
    readNew: (max) => read(max, ""),
    readPending: read,
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
  if (kind !== "leader") return { kind };
  const entries: GroupEntry[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) {
    entries.push({ id: flat[i] as string, deliveries: flat[i + 1] as number, fields: flat[i + 2] as string[] });
  }
  return { kind, next: next === "" ? undefined : next, entries };
}
