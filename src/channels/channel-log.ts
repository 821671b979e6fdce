import type { Position } from "../protocol/scalars.ts";
import type { JoinedText } from "../protocol/wire.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import type { Spans } from "../runtime/spans.ts";
import { runsOf } from "../redis/runs.ts";
import { loadBatchedScript, loadScript, type ScriptReply } from "../redis/scripts.ts";
import { appendTail, appendTarget, positionScripts, publishScripts } from "./append.ts";
import { ephemeralMessage } from "./feed-message.ts";
import { fromText } from "./packets.ts";
import { freshEpoch, type HistoryOptions } from "./kinds.ts";
import type { LogEntry, LogSlice } from "./log-entry.ts";
import { joinedTooLong, maxJoinedBytes, openJoined } from "./joined-text.ts";
import { idempotencyDefaults, type PublishRequest, type Published } from "./publication.ts";

/**
 * A channel's numbered log in Redis, and its feed to the nodes.
 *
 * Order and atomicity: one script checks the idempotency key, assigns the next offset, appends and publishes. The feed
 * therefore delivers offsets 1, 2, 3 … of an epoch in order, and everything it delivers is already in the log. If a
 * script was sent but its reply was lost, the publication may or may not exist; a retry with the same idempotency key
 * finds out.
 *
 * Limits: the log keeps the last `size` publications and expires `ttlSeconds` after the last. `read` returns exactly the
 * publications after a position, or `isWhole: false` and none, if the epoch differs, the offset is ahead of the log, or
 * publications are gone. The position outlives the log by at least a day; after that the next epoch starts at 1.
 *
 * Redis can come back with less than it acknowledged: from an older dump, without the tail of its log, or as a replica
 * that was promoted before it had everything. Every script therefore knows the run of Redis it works in
 * (`redis/run.lua`). When a run begins, each node that is subscribed to a channel reads it with the timestamp of the last
 * publication it received: either the position is confirmed, or the epoch ends. After a second, a channel that no node
 * confirmed continues in a new generation: under another epoch, with the offset at which the previous one ended. A
 * position of an earlier generation is valid up to that offset; beyond it nothing is recovered.
 */
export interface ChannelLog {
  /** Throws `conflict` if the idempotency key was used for different content. */
  publish(request: PublishRequest, history: HistoryOptions): Promise<Published>;
  /** The first result, if the request repeats an earlier one. Throws as `publish` does. */
  findRepeated(request: PublishRequest, history: HistoryOptions): Promise<Published | undefined>;
  /** Sends to current subscribers only: without offset, log and timestamp, at most once. Throws as `publish` does. */
  publishEphemeral(request: PublishRequest, publishedAt: number): Promise<"new" | "duplicate">;
  /** Whether the request repeats an earlier ephemeral one. Throws as `publish` does. */
  isRepeatedEphemeral(request: PublishRequest): Promise<boolean>;
  /** Removes the log and starts another epoch. Resolves to the number of publications it held. */
  clear(channel: string): Promise<number>;
  /** Also removes the position. */
  erase(channel: string): Promise<number>;
  read(channel: string, history: HistoryOptions, from: ReadFrom): Promise<LogSlice>;
  /** The joined text of a kind that has one, and the position up to which it goes. */
  readJoined(channel: string): Promise<{ value: JoinedText; at: Position }>;
  /** How many publications are kept, and since when. */
  extent(channel: string): Promise<LogExtent>;
  /** The last timestamp assigned to any publication; infinity on Cluster, which has no common one. */
  lastTimestamp(): Promise<number>;
  /** An upper bound of all timestamps; on Cluster, where each slot has its own clock, by one of these clocks. */
  latestTimestamp(): Promise<number>;
  /** Whether this node knows the run of Redis that the channel's commands go to; not after a lost connection. */
  isRunKnown(channel: string): boolean;
  /** Called when this node sees a run of Redis for the first time (`redis/run.lua`). */
  onNewRun(listener: () => void): void;
  /** Extends the TTL of the positions of channels with subscribers. */
  renew(channels: readonly string[]): Promise<void>;
}

export interface LogExtent {
  size: number;
  /** Epoch milliseconds of the oldest; undefined if there is none. */
  oldestAt: number | undefined;
}

/**
 * What to read: the position only, the last `limit` publications, all after a position, or all with a later timestamp and
 * beyond a position. `expectedTimestamp` is set by a node that received everything up to the position: if the log has
 * another publication there, or is shorter, the epoch ends.
 */
export type ReadFrom =
  | { kind: "position" }
  | { kind: "latest"; limit: number }
  | { kind: "since"; position: Position; expectedTimestamp?: number }
  | { kind: "after"; timestamp: number; position: Position };

/** Seconds the position of a channel without publications is kept. */
const idleTtlSeconds = 3_600;
/** How often `renew` must be called. */
export const renewEveryMs = (idleTtlSeconds / 3) * 1_000;

export interface ChannelLogDeps {
  commands: RedisClient;
  keys: Keys;
  isCluster: boolean;
  spans?: Spans;
}

export interface ChannelLogOptions {
  /** Seconds an idempotency key is kept. @default 86400 */
  idempotencyTtlSeconds?: number;
}

export function createChannelLog(
  deps: ChannelLogDeps,
  { idempotencyTtlSeconds = idempotencyDefaults.ttlSeconds }: ChannelLogOptions = {},
): ChannelLog {
  const { commands, keys, isCluster, spans } = deps;
  const publishScript = loadScript(commands, new URL("./publish.lua", import.meta.url), publishScripts);
  const ephemeralScript = loadScript(commands, new URL("./publish-ephemeral.lua", import.meta.url));
  const clearScript = loadScript(commands, new URL("./clear.lua", import.meta.url), positionScripts);
  const open = new URL("./open.lua", import.meta.url);
  const openScript = loadScript(commands, open, positionScripts, { isOrdered: false });
  const joined = openJoined({ commands, keys }, idleTtlSeconds);
  const positionScript = loadBatchedScript(commands, open, positionScripts);

  async function lastTimestamp(): Promise<number> {
    return isCluster ? Infinity : Number((await commands.get(keys.globalTimestamp())) ?? 0);
  }

  function run(request: PublishRequest, history: HistoryOptions, mode: "" | "only find" = ""): Promise<ScriptReply> {
    const { channel, event, data, idempotencyKey, from, except } = request;
    const target = appendTarget(deps, channel, history);
    const once = idempotencyKey === undefined ? target.meta : keys.channelIdempotency(channel, idempotencyKey);
    const scriptKeys = [target.meta, target.log, target.feed, once, ...joined.keysOf(channel, history)];
    if (target.timestamp !== undefined) scriptKeys.push(target.timestamp);
    const { epoch, size, logTtl, metaTtl, head } = target;
    const tail = appendTail(event, data);
    const onceTtl = request.idempotencyTtlSeconds ?? idempotencyTtlSeconds;
    const args = [epoch, size, logTtl, metaTtl, head, tail, onceTtl, mode];
    const excepted = except === undefined ? "" : JSON.stringify(except);
    const maxBytes = history.isJoined === true ? maxJoinedBytes : "";
    return publishScript.run(scriptKeys, [...args, fromText(from), excepted, maxBytes]);
  }

  async function runEphemeral(request: PublishRequest, key: string, message: string): Promise<EphemeralOutcome> {
    const { channel, event, data, idempotencyTtlSeconds: ttl = idempotencyTtlSeconds } = request;
    const scriptKeys = [keys.channelFeed(channel), keys.channelIdempotency(channel, key)];
    const outcome = await ephemeralScript.run(scriptKeys, [appendTail(event, data), ttl, message]);
    if (outcome === "conflict") throw keyOfOtherContent();
    return outcome as EphemeralOutcome;
  }

  async function clear(channel: string): Promise<number> {
    const { meta, log, feed } = keys.channel(channel);
    const { text, last } = keys.channelJoined(channel);
    return Number(await clearScript.run([meta, log, feed, text, last], [freshEpoch(), idleTtlSeconds]));
  }

  return {
    async publish(request, history) {
      const append = (): Promise<ScriptReply> => run(request, history);
      const attributes = { "messaging.destination.name": request.channel };
      const reply = await (spans?.run("append", { kind: "producer", attributes }, append) ?? append());
      return toPublished(request.channel, reply);
    },

    async findRepeated(request, history) {
      const reply = await run(request, history, "only find");
      return reply === "unknown" ? undefined : toPublished(request.channel, reply);
    },

    async publishEphemeral(request, publishedAt) {
      const { channel, idempotencyKey } = request;
      const message = ephemeralMessage(request, publishedAt, spans?.sampledTraceparent());
      if (idempotencyKey !== undefined)
        return (await runEphemeral(request, idempotencyKey, message)) === "duplicate" ? "duplicate" : "new";
      await commands.spublish(keys.channelFeed(channel), message);
      return "new";
    },

    async isRepeatedEphemeral(request) {
      const { idempotencyKey } = request;
      return idempotencyKey !== undefined && (await runEphemeral(request, idempotencyKey, "")) === "duplicate";
    },

    async extent(channel) {
      const { log } = keys.channel(channel);
      const [size, [oldest]] = await Promise.all([commands.xlen(log), commands.xrange(log, "-", "+", "COUNT", 1)]);
      const micros = oldest === undefined ? undefined : Number(oldest[0].split("-")[0]);
      return { size, oldestAt: micros === undefined ? undefined : Math.floor(micros / 1_000) };
    },

    clear,

    async erase(channel) {
      const removed = await clear(channel);
      await commands.unlink(keys.channelMeta(channel));
      return removed;
    },

    async read(channel, history, from) {
      const { meta, log } = keys.channel(channel);
      const logKeys = [meta, log, ...joined.keysOf(channel, history)];
      // Every handshake reads a position.
      if (from.kind === "position")
        return toPosition(await positionScript.run(logKeys, [freshEpoch(), idleTtlSeconds, 0, from.kind]));
      const max = from.kind === "latest" ? Math.min(from.limit, history.size) : history.size;
      const { epoch, offset } = "position" in from ? from.position : { epoch: "", offset: 0 };
      const expectedTimestamp = from.kind === "since" ? (from.expectedTimestamp ?? "") : "";
      const timestamp = from.kind === "after" ? from.timestamp : 0;
      const args = [freshEpoch(), idleTtlSeconds, max, from.kind, epoch, offset, expectedTimestamp, timestamp];
      return toSlice(await openScript.run(logKeys, args));
    },

    readJoined: (channel) => joined.read(channel),

    lastTimestamp,

    async latestTimestamp() {
      if (!isCluster) return lastTimestamp();
      const [seconds, micros] = await commands.time();
      return Number(seconds) * 1_000_000 + Number(micros);
    },

    isRunKnown(channel) {
      const runs = runsOf(commands);
      return runs.runAt(runs.placeOf(keys.channelMeta(channel))) !== "";
    },

    onNewRun: (listener) => runsOf(commands).onNewRun(listener),

    async renew(channels) {
      const renewed = channels.map((channel) => commands.expire(keys.channelMeta(channel), idleTtlSeconds, "GT"));
      await Promise.all(renewed);
    },
  };
}

type EphemeralOutcome = "new" | "duplicate" | "unknown";

const keyOfOtherContent = (): GatewayError =>
  new GatewayError("conflict", "The idempotency key was already used with different content.", {
    field: "idempotencyKey",
  });

function toPublished(channel: string, reply: ScriptReply): Published {
  const [outcome, epoch = "", offset] = (reply as string).split(" ");
  if (outcome === "conflict") throw keyOfOtherContent();
  if (outcome === "full") throw new GatewayError("payload_too_large", joinedTooLong, { field: "data" });
  return { channel, epoch, offset: Number(offset), duplicate: outcome === "duplicate" };
}

function toPosition(reply: ScriptReply): LogSlice {
  const [epoch = "", offset, timestamp] = (reply as string).split(" ");
  return { epoch, offset: Number(offset), timestamp: Number(timestamp), isWhole: false, entries: [] };
}

function toSlice(reply: ScriptReply): LogSlice {
  const [epoch, offset, timestamp, isWhole, ...flat] = reply as [string, string, string, number, ...string[]];
  const entries = pairsOf(flat).map(([id, json]) => toEntry(id, json));
  return { epoch, offset: Number(offset), timestamp: Number(timestamp), isWhole: isWhole === 1, entries };
}

function toEntry(id: string, json: string): LogEntry {
  const dash = id.indexOf("-");
  const space = id.indexOf(" ");
  const entry = { timestamp: Number(id.slice(0, dash)), json };
  if (space === -1) return { ...entry, offset: Number(id.slice(dash + 1)) };
  const except = JSON.parse(id.slice(space + 1)) as string[];
  return { ...entry, offset: Number(id.slice(dash + 1, space)), except };
}
