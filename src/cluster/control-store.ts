import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import type { Leases } from "./membership.ts";

/** One command as the log holds it. */
export interface LoggedCommand {
  id: string;
  json: string;
}

/** What a heartbeat brings. */
export interface Heartbeat {
  lastId: string;
  /** Of the living: the ends of their leases. */
  leases: Leases;
  /** Nodes whose lease has ended, told until they are buried; at most 16. */
  dead: string[];
  /** Given since the command followed last, at most 1000. */
  commands: LoggedCommand[];
  /** The lease had ended before; it was not renewed, and the node must come back as another. */
  isExpired: boolean;
  /** The store's clock when the heartbeat was written, in epoch milliseconds. */
  time: number;
}

/**
 * The nodes of a gateway and the commands all of them follow, in Redis. A lease and the log are renewed and read in one
 * step; a command is appended and its askers are counted in one step. So for every node and command: either the node is
 * counted, or its lease had ended, and then it reads the command with the beat that renews the lease.
 */
export interface ControlStore {
  /**
   * `followed`: id of the last command followed; undefined begins at the log's end. `hasBeaten`: this is not the first
   * beat under this name.
   */
  heartbeat(node: string, followed: string | undefined, hasBeaten?: boolean): Promise<Heartbeat>;
  /** Ends the node's lease. */
  leave(node: string): Promise<void>;
  /** The living have cleaned up after a dead node: it is told no more. */
  removeTombstone(node: string): Promise<void>;
  append(json: string): Promise<{ id: string; asked: string[] }>;
  acknowledge(commandId: string, node: string, count: number): Promise<void>;
  /** Answers so far, by node. */
  acknowledgements(commandId: string): Promise<Map<string, number>>;
}

/** Milliseconds a node lives on after its last heartbeat. */
export const leaseMs = 2_000;
/** Milliseconds a command is kept; a node that was away for longer ends its connections (see `control.ts`). */
export const commandRetentionMs = 3_600_000;
const answersTtlSeconds = 60;

export function createControlStore({ commands, keys }: { commands: RedisClient; keys: Keys }): ControlStore {
  const beatScript = loadScript(commands, new URL("./heartbeat.lua", import.meta.url));
  const commandScript = loadScript(commands, new URL("./append-command.lua", import.meta.url));
  const beat = (node: string, lease: number, followed: string, hasBeaten = false) =>
    beatScript.run(
      [keys.nodes(), keys.controlLog(), keys.deadNodes()],
      [node, lease, followed, commandRetentionMs, hasBeaten ? 1 : 0],
    );

  return {
    async heartbeat(node, followed, hasBeaten) {
      const reply = await beat(node, leaseMs, followed ?? "", hasBeaten);
      const [lastId, living, dead, given, isLapsed, time] = reply as HeartbeatReply;
      const leases = new Map(pairsOf(living).map(([name, end]) => [name, Number(end)]));
      const logged: LoggedCommand[] = pairsOf(given).map(([id, json]) => ({ id, json }));
      return { lastId, leases, dead, commands: logged, isExpired: isLapsed === 1, time: Number(time) };
    },
    async leave(node) {
      await beat(node, 0, "");
    },
    async removeTombstone(node) {
      await commands.zrem(keys.deadNodes(), node);
    },
    async append(json) {
      const [id, ...asked] = (await commandScript.run(
        [keys.nodes(), keys.controlLog(), keys.controlFeed()],
        [json],
      )) as [string, ...string[]];
      return { id, asked };
    },
    async acknowledge(commandId, node, count) {
      const key = keys.controlAcknowledgements(commandId);
      await Promise.all([commands.hset(key, node, count), commands.expire(key, answersTtlSeconds)]);
    },
    async acknowledgements(commandId) {
      const counts = await commands.hgetall(keys.controlAcknowledgements(commandId));
      return new Map(Object.entries(counts).map(([node, count]) => [node, Number(count)]));
    },
  };
}

type HeartbeatReply = [string, string[], string[], string[], number, string];

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
