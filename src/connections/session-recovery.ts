import type { RestoredSubscriptions, RecoveryRecords } from "../channels/subscription.ts";
import type { Channels } from "../channels/channels.ts";
import { tokensOf } from "../channels/stored-start.ts";
import type { FoundRecord, TakenRecord } from "../channels/recovery-record-store.ts";
import { positionsAt } from "../channels/delivery-trail.ts";
import type { CommandOutcome, Control, ControlCommand } from "../cluster/control.ts";
import { closing } from "../protocol/closings.ts";
import type { Position } from "../protocol/scalars.ts";
import { sleep } from "../runtime/clock.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import type { Connection } from "./connection.ts";
import { EndedSubscriptions } from "./ended-subscriptions.ts";
import { SessionRecords, type SessionRecordsDeps, type SessionRecordsOptions } from "./session-records.ts";

/** A client that claims to have been connected before. */
export interface RecoveryAttempt {
  privateId: string;
  /** Timestamp of the last publication that it claims to have received; NaN if it sent something else. */
  timestamp: number;
  record: FoundRecord;
}

/** Socket.IO's connection state recovery for stock clients, on any node. */
export interface SessionRecovery {
  /** Milliseconds in which a client can recover after it disconnected. */
  readonly windowMs: number;
  /** Which subscriptions do not come back, because a backend has ended them. */
  readonly ended: EndedSubscriptions;
  /** `offset` is the last offset that the client received. Undefined if the session is unknown. */
  find(privateId: string, offset: string): Promise<RecoveryAttempt | undefined>;
  /**
   * Resumes the subscriptions of a session on `connection`, which has authenticated. The reason in words if that is not
   * possible completely, or the session belongs to somebody else: then nothing was resumed. `hasLeft`: the client has given
   * this attempt up, and may have recovered by another one since.
   */
  restore(
    connection: Connection,
    returning: RecoveryAttempt,
    hasLeft: () => boolean,
  ): Promise<RestoredSubscriptions | string>;
  /** Closes the previous connection of the client. False if there is none, or it belongs to somebody else. */
  evictPrevious(privateId: string, client: { userId: string; sessionId: string }): Promise<boolean>;
  /** Registers a new connection; `privateId` is known only to its client. */
  open(connection: Connection, privateId: string): void;
  /** Stores the session, including subscriptions made since `open`; later changes are stored as they happen. */
  persist(connection: Connection): Promise<unknown> | undefined;
  /** Rooms of a connection's socket have changed; they are recorded soon. */
  roomsChanged(connection: Connection, rooms: Iterable<unknown>): void;
  /** What the socket of a restored connection had (`socket-state.ts`); '' if nothing. */
  socketStateOf(connection: Connection): string;
  /** The timestamp up to which the client has received everything; it sends this back to recover. */
  timestampOf(connection: Connection): number;
  /** A restored connection has ended before Socket.IO confirmed it. */
  abandon(connection: Connection): void;
  /** The connection has ended; call before its subscriptions end. `mayReturn` is false if it cannot recover. */
  end(connection: Connection, mayReturn: boolean): Promise<void>;
  readonly records: RecoveryRecords;
  /**
   * Redis may have lost writes: rewrites the sessions of all connections of this node, including disconnected ones that
   * may still recover. Not those with state: nobody knows what a client that is away was sent of changes that are lost, so
   * it recovers only if Redis still has its record.
   */
  rewriteAll(): void;
  /** Deletes the records of a user's disconnected clients, on all nodes. */
  erase(userId: string): Promise<CommandOutcome>;
  /** Performs a control command; resolves with the number of connections it closed, or of records it deleted. */
  perform(command: ControlCommand): Promise<number>;
  start(): void;
  stop(): Promise<void>;
}

export interface SessionRecoveryDeps extends SessionRecordsDeps {
  channels: Pick<
    Channels,
    "restore" | "disconnect" | "startsOf" | "timestampOf" | "lastTimestamp" | "trailOf" | "deliveryCount"
  >;
  control: Pick<Control, "command" | "incarnation" | "living" | "fence" | "performed">;
}

export interface SessionRecoveryOptions extends SessionRecordsOptions {
  /**
   * In a Cluster each slot has its own clock, so a timestamp does not order publications across channels. Then the
   * connection's node stores what it delivered last, in order (`channels/delivery-trail.ts`); without that, a client
   * receives again what was published shortly before its timestamp, rather than missing something.
   */
  isCluster: boolean;
}

type PositionMap = ReadonlyMap<string, Position>;

const noPositions: PositionMap = new Map();

/** The node id of an incarnation or an owner: after an outage a node has another incarnation but the same connections. */
const nodeOf = (name: string): string => name.slice(0, name.lastIndexOf("/"));

/** Larger than the clock difference of two shards, and than the duration of a gap repair. */
const clusterMarginMicros = 10_000_000;

/** Max milliseconds to wait for what the previous node leaves, and the poll interval; for the state it grows. */
const maxLeavingWaitMs = 1_000;
const leavingPollMs = 20;
const maxLeavingPollMs = 100;
/** Backoff while the previous node rewrites an incomplete record; doubles each time. */
const firstRewriteWaitMs = 100;
const lastRewriteWaitMs = 1_600;
/** Up to this wait the previous node need not be known as living: after an outage that takes a heartbeat or two. */
const unknownNodeWaitMs = 800;

/** Milliseconds for which announcements of replaced connections are batched, and their max number per command. */
const replacedPaceMs = 20;
const replacedAtOnce = 500;

/** Type of the control command that closes replaced connections. */
const replaceConnectionType = "replace.connection";

/** Type of the control command that deletes the records of a user's disconnected clients. */
const eraseRecordsType = "erase.records";

export const recoveryCommandTypes = [replaceConnectionType, eraseRecordsType];

export function createSessionRecovery(deps: SessionRecoveryDeps, options: SessionRecoveryOptions): SessionRecovery {
  const { store, clock, log } = deps;
  const margin = options.isCluster ? clusterMarginMicros : 0;
  const records = new SessionRecords(deps, options);
  const ended = new EndedSubscriptions(deps, (options.windowSeconds + options.renewEverySeconds) * 1_000);
  const replacements = new WriteBehind(
    { write: announceReplaced, mayWrite: () => true, clock, log },
    { description: "replaced connections", intervalMs: replacedPaceMs, batchSize: replacedAtOnce },
  );
  let ownerCount = 0;
  const ownerOf = (): string => `${deps.control.incarnation}|${(ownerCount += 1)}`;

  /** This node need not have renewed its lease after an outage to know that it lives. */
  const isLiving = (owner: string): boolean =>
    [deps.control.incarnation, ...deps.control.living].some((node) => nodeOf(node) === nodeOf(owner));

  /** The client has reconnected: closes its previous connection by owner, or forgets its disconnected session. */
  function replace(owner: string): void {
    const isElsewhere = nodeOf(owner) !== nodeOf(deps.control.incarnation);
    if (replaceHere(owner) === 0 && isElsewhere && isLiving(owner)) replacements.add(owner);
  }

  /** The client's positions when it had received the publication with this timestamp. Waits for its previous node. */
  async function positionsOf(
    privateId: string,
    taken: TakenRecord,
    timestamp: number,
  ): Promise<PositionMap | undefined> {
    const deadline = clock.monotonic() + maxLeavingWaitMs;
    let { trail } = taken;
    while (trail === undefined && taken.before !== "" && isLiving(taken.before) && clock.monotonic() < deadline) {
      await sleep(clock, leavingPollMs);
      trail = await store.findTrail(privateId);
    }
    return trail && positionsAt(trail, timestamp);
  }

  /**
   * The state of the client's socket. A previous connection that was still open knows it best: its node writes it when it
   * closes that connection. If that takes too long, as it was recorded last.
   */
  async function lastStateOf(privateId: string, { leaving, record }: TakenRecord): Promise<string> {
    const recorded = record?.socketState;
    if (recorded === undefined) return "";
    const deadline = clock.monotonic() + maxLeavingWaitMs;
    for (let waitMs = leavingPollMs; leaving !== "" && isLiving(leaving); waitMs *= 2) {
      await sleep(clock, Math.min(waitMs, maxLeavingPollMs));
      const last = await store.findLastState(privateId, leaving);
      if (last !== undefined) return last;
      if (clock.monotonic() >= deadline) break;
    }
    return recorded;
  }

  /** Nothing was delivered, so the next attempt needs the trail. */
  function releaseAfterError(privateId: string, owner: string, { trail, record }: TakenRecord, error: unknown): never {
    store
      .release(privateId, owner, record?.asOf ?? "", { trail })
      .catch((fault: unknown) => log.warn({ err: fault }, "a record was not released"));
    throw error;
  }

  async function announceReplaced(replaced: readonly string[]): Promise<void> {
    await deps.control.command({ type: replaceConnectionType, owners: [...replaced] });
  }

  function replaceHere(owner: string): number {
    const connection = records.replaced(owner);
    connection?.close(closing("connection_replaced"));
    return connection === undefined ? 0 : 1;
  }

  async function perform({ type, owners: replaced, userId }: ControlCommand): Promise<number> {
    if (type === eraseRecordsType) return typeof userId === "string" ? records.erase(userId) : 0;
    if (type !== replaceConnectionType || !Array.isArray(replaced)) return 0;
    return replaced.reduce((count: number, owner: unknown) => count + replaceHere(String(owner)), 0);
  }

  /**
   * If Redis may have lost part of a record, waits for the previous node to rewrite it, as long as that node is alive. If
   * another attempt has taken it, that was an earlier one unless this client has left. Why it was not taken, in words.
   */
  async function takeComplete(
    { privateId, record: { takes } }: RecoveryAttempt,
    owner: string,
    hasLeft: () => boolean,
  ): Promise<TakenRecord | string> {
    let known = takes;
    for (let waitMs = firstRewriteWaitMs; ; waitMs *= 2) {
      const taken = await store.take(privateId, owner, known);
      if (taken === undefined) return "the recovery window is over";
      if (taken.record !== undefined) return taken;
      const isTaken = taken.takes !== known;
      const mayChange = isTaken || waitMs <= unknownNodeWaitMs || isLiving(taken.before || taken.left);
      if (waitMs > lastRewriteWaitMs || !mayChange) return isTaken ? "the client recovers elsewhere" : taken;
      known = taken.takes;
      await sleep(clock, waitMs);
      if (hasLeft()) return "the client has left";
    }
  }

  return {
    windowMs: options.windowSeconds * 1_000,
    ended,

    async find(privateId, offset) {
      if (!/^[\w-]{1,64}$/.test(privateId)) return undefined;
      const record = await store.find(privateId);
      const timestamp = /^\d{1,16}$/.test(offset) ? Number(offset) : Number.NaN;
      return record === undefined ? undefined : { privateId, timestamp, record };
    },

    async restore(connection, attempt, hasLeft) {
      const { privateId, timestamp } = attempt;
      const { holder } = attempt.record;
      const { identity, subscriber } = connection;
      if (holder.userId !== identity.userId || holder.sessionId !== identity.sessionId)
        return "the session belongs to another user or session";
      const owner = ownerOf();
      const taken = await takeComplete(attempt, owner, hasLeft);
      if (typeof taken === "string") return taken;
      replace(taken.before || taken.left);
      if (taken.record === undefined) return "Redis has lost a part of the session";
      const { starts, asOf } = taken.record;
      if (ended.hasAny(identity.userId, starts.keys(), asOf)) return "a backend has ended one of its subscriptions";
      if (!(timestamp >= holder.timestamp - margin)) return "the client's offset is from before its session";
      const channelTokens = tokensOf(starts, clock.now());
      if (channelTokens.size > 0) connection.identity = { ...identity, channelTokens };
      const lastState = lastStateOf(privateId, taken).catch(() => taken.record?.socketState ?? "");
      const read = options.isCluster ? await positionsOf(privateId, taken, timestamp) : undefined;
      const restored = await deps.channels
        .restore(subscriber, connection.identity, starts, timestamp - margin, read)
        .catch((error: unknown) => releaseAfterError(privateId, owner, taken, error));
      if (restored === undefined) return "a missed publication is no longer kept, or a channel is no longer allowed";
      const { missed, deliveryCount, positions } = restored;
      const socketState = await lastState;
      records.add(connection, {
        privateId,
        owner,
        // If nothing was missed, the client's own timestamp; otherwise the margin would grow with each recovery.
        timestamp: missed.length === 0 ? timestamp : restored.timestamp,
        startPosition: options.isCluster ? { deliveryCount, since: timestamp, missed, positions } : undefined,
        firstTimestamp: holder.timestamp,
        takes: taken.takes,
        isPersisted: true,
        ...(socketState !== "" && { socketState }),
      });
      return restored;
    },

    async evictPrevious(privateId, { userId, sessionId }) {
      const found = await store.find(privateId);
      if (found?.holder.userId !== userId || found.holder.sessionId !== sessionId) return false;
      const taken = await store.take(privateId, "", found.takes);
      const isTaken = taken?.record === undefined && taken?.takes !== found.takes;
      if (taken === undefined || taken.before === "" || isTaken) return false;
      replace(taken.before);
      return true;
    },

    open(connection, privateId) {
      const { lastTimestamp: timestamp, deliveryCount } = deps.channels;
      const beginning = options.isCluster
        ? { deliveryCount, since: timestamp, missed: [], positions: noPositions }
        : undefined;
      records.add(connection, {
        privateId,
        owner: ownerOf(),
        timestamp,
        firstTimestamp: timestamp,
        takes: 0,
        startPosition: beginning,
        isPersisted: false,
      });
    },

    persist: (connection) => records.persist(connection),

    roomsChanged: (connection, rooms) => records.roomsChanged(connection, rooms),

    socketStateOf: ({ subscriber }) => records.of(subscriber)?.socketState ?? "",

    timestampOf: ({ subscriber }) =>
      Math.max(records.of(subscriber)?.timestamp ?? 0, deps.channels.timestampOf(subscriber)),

    abandon(connection) {
      deps.channels.disconnect(connection.subscriber);
      records
        .end(connection, true)
        .catch((error: unknown) => log.warn({ err: error }, "releasing a connection record failed"));
    },

    end: (connection, mayReturn) => records.end(connection, mayReturn),

    records,

    rewriteAll: () => records.rewriteAll(),

    erase: (userId) => deps.control.command({ type: eraseRecordsType, userId }),

    perform,

    start: () => records.start(),

    async stop() {
      await Promise.all([records.stop(), replacements.stop()]);
    },
  };
}
