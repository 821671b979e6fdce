import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { pairsOf } from "../redis/pairs.ts";
import { loadScript } from "../redis/scripts.ts";
import type { Leases } from "./membership.ts";

/** One command in the log. */
export interface LoggedCommand {
  id: string;
  json: string;
}

/** Result of a heartbeat. */
export interface Heartbeat {
  lastId: string;
  /** Ends of the leases of living nodes; undefined if these are the nodes of the given version. */
  leases: Leases | undefined;
  /** Of the living nodes; pass it to the next heartbeat. */
  version: string;
  /** Nodes with an expired lease, repeated until their tombstone is removed; at most 16. */
  dead: string[];
  /** Commands since the last one followed; at most 1000. */
  commands: LoggedCommand[];
  /** The node's lease had expired before and was not renewed; the node must continue under another name. */
  isExpired: boolean;
  /** Redis' clock at the heartbeat, in epoch milliseconds. */
  time: number;
}

/**
 * The nodes of a cluster and their command log, in Redis. One step renews a lease and reads the log; one step appends
 * a command and lists the living nodes. So for every node and command: either the node is listed, or its lease had
 * expired, and then it reads the command with the heartbeat that renews the lease.
 */
export interface ControlStore {
  /**
   * `followed`: id of the last command followed; undefined starts at the end of the log. `hasSentHeartbeat`: the node has
   * sent a heartbeat under this name before. `version`: of which the node has the leases; omit it to get them in any case.
   */
  heartbeat(
    node: string,
    followed: string | undefined,
    hasSentHeartbeat?: boolean,
    version?: string,
  ): Promise<Heartbeat>;
  /** Ends the node's lease. */
  leave(node: string): Promise<void>;
  /** The living nodes have cleaned up after a dead node; it is no longer reported. */
  removeTombstone(node: string): Promise<void>;
  /** Commands after the one with this id, or since this time in milliseconds; at most 1000. */
  commandsAfter(idOrTime: string): Promise<LoggedCommand[]>;
  append(json: string): Promise<{ id: string; asked: string[] }>;
  acknowledge(commandId: string, node: string, count: number): Promise<void>;
  /** Acknowledgements so far, by node. */
  acknowledgements(commandId: string): Promise<Map<string, number>>;
}

/** Milliseconds a lease lasts after a heartbeat. */
export const leaseMs = 2_000;
/** Milliseconds a command is kept. A node that was offline longer closes its connections (see `control.ts`). */
export const commandRetentionMs = 3_600_000;
/** Max commands that are read at once. */
export const maxCommands = 1_000;
const acknowledgementsTtlSeconds = 60;

export function createControlStore({ commands, keys }: { commands: RedisClient; keys: Keys }): ControlStore {
  const heartbeatScript = loadScript(commands, new URL("./heartbeat.lua", import.meta.url));
  const commandScript = loadScript(commands, new URL("./append-command.lua", import.meta.url));
  const heartbeat = (node: string, lease: number, followed: string, hasSentHeartbeat = false, version = "") =>
    heartbeatScript.run(
      [keys.nodes(), keys.controlLog(), keys.deadNodes(), keys.nodesVersion()],
      [node, lease, followed, hasSentHeartbeat ? 1 : 0, version],
    );

  return {
    async heartbeat(node, followed, hasSentHeartbeat, known) {
      const reply = await heartbeat(node, leaseMs, followed ?? "", hasSentHeartbeat, known);
      const [lastId, living, dead, given, isLapsed, time, version] = reply as HeartbeatReply;
      const leases = living === null ? undefined : new Map(pairsOf(living).map(([name, end]) => [name, Number(end)]));
      const logged: LoggedCommand[] = pairsOf(given).map(([id, json]) => ({ id, json }));
      return { lastId, leases, dead, commands: logged, isExpired: isLapsed === 1, time: Number(time), version };
    },
    async leave(node) {
      await heartbeat(node, 0, "");
    },
    async removeTombstone(node) {
      await commands.zrem(keys.deadNodes(), node);
    },
    async commandsAfter(idOrTime) {
      const entries = await commands.xrange(keys.controlLog(), `(${idOrTime}`, "+", "COUNT", maxCommands);
      return entries.map(([id, fields]) => ({ id, json: fields[1] ?? "" }));
    },
    async append(json) {
      const [id, ...asked] = (await commandScript.run(
        [keys.nodes(), keys.controlLog(), keys.controlFeed()],
        [json, commandRetentionMs],
      )) as [string, ...string[]];
      return { id, asked };
    },
    async acknowledge(commandId, node, count) {
      const key = keys.controlAcknowledgements(commandId);
      await Promise.all([commands.hset(key, node, count), commands.expire(key, acknowledgementsTtlSeconds)]);
    },
    async acknowledgements(commandId) {
      const counts = await commands.hgetall(keys.controlAcknowledgements(commandId));
      return new Map(Object.entries(counts).map(([node, count]) => [node, Number(count)]));
    },
  };
}

type HeartbeatReply = [string, string[] | null, string[], string[], number, string, string];
