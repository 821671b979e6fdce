import { writeCountScript } from "../cluster/node-counts.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import {
  formatWrite,
  isDetail,
  type Counts,
  type Details,
  type MemberDetail,
  type StoredMembers,
  type MembersWrite,
} from "./members-change.ts";

/**
 * Members of channels, in Redis: each node writes the counts of its own users, under its own name.
 *
 * Atomicity and order: one script writes a node's counts, assigns the channel's next revision and publishes it on the feed; each
 * message contains the preceding revision. Counts are absolute, so repeated writes are harmless. Counts of dead nodes remain
 * until a node removes them, or for two days; readers must ignore them (`cluster/membership.ts` knows the dead nodes). A channel
 * without members is dropped after a minute.
 */
export interface MembersStore {
  /** Resolves to the revision. */
  write(channel: string, write: MembersWrite): Promise<number>;
  read(channel: string): Promise<StoredMembers>;
  /** 0 if the channel has no members. */
  revision(channel: string): Promise<number>;
  /** Removes a dead node's counts; the revision does not change, because readers already ignore them. */
  removeNode(channel: string, node: string): Promise<void>;
}

/** TTL of a node's counts unless they are renewed, in seconds. */
export const membersTtlSeconds = 2 * 86_400;
const emptyTtlSeconds = 60;

export function createMembersStore({ commands, keys }: { commands: RedisClient; keys: Keys }): MembersStore {
  const writeScript = loadScript(commands, new URL("./write-members.lua", import.meta.url), [writeCountScript]);
  const readScript = loadScript(commands, new URL("./read-members.lua", import.meta.url));

  return {
    async write(channel, write) {
      const { node, counts, details, isWhole, formerNode } = write;
      const writeKeys = [keys.channelMembers(channel), keys.channelMembersOf(channel, node), keys.membersFeed(channel)];
      if (formerNode !== undefined) writeKeys.push(keys.channelMembersOf(channel, formerNode));
      const head = [node, formerNode ?? "", isWhole ? 1 : 0, membersTtlSeconds, emptyTtlSeconds, formatWrite(write)];
      const values = [...counts].flatMap(([user, count]) => [user, toText(count, details?.get(user))]);
      return Number(await writeScript.run(writeKeys, [...head, ...values]));
    },

    async read(channel) {
      return toMembership(await readScript.run([keys.channelMembers(channel)], []));
    },

    async revision(channel) {
      return Number((await commands.hget(keys.channelMembers(channel), "")) ?? 0);
    },

    async removeNode(channel, node) {
      await Promise.all([
        commands.hdel(keys.channelMembers(channel), node),
        commands.unlink(keys.channelMembersOf(channel, node)),
      ]);
    },
  };
}

/** `<connections>`, or `<connections>:<detail as JSON>`. */
const toText = (count: number, detail: MemberDetail | undefined): string =>
  count === 0 || detail === undefined ? `${count}` : `${count}:${JSON.stringify(detail)}`;

function toMembership(reply: ScriptReply): StoredMembers {
  const [revision, since, ...flat] = reply as [string, string, ...(string | string[])[]];
  const nodes = new Map<string, Counts>();
  const details = new Map<string, Details>();
  for (const [node, members] of pairsOf(flat) as [string, string[]][]) {
    const pairs = pairsOf(members);
    nodes.set(node, new Map(pairs.map(([user, text]) => [user, Number.parseInt(text, 10)])));
    details.set(node, new Map(pairs.flatMap(toDetail)));
  }
  return { revision: Number(revision), since: Number(since), nodes, details };
}

function toDetail([user, text]: [string, string]): [string, MemberDetail][] {
  const colon = text.indexOf(":");
  const detail: unknown = colon === -1 ? undefined : JSON.parse(text.slice(colon + 1));
  return isDetail(detail) ? [[user, detail]] : [];
}
