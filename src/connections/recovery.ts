import type { Restored, SubscriptionRecords } from "../channels/answers.ts";
import type { Channels } from "../channels/channels.ts";
import type { ConnectionRecord, ConnectionRecordStore, TakenRecord } from "../channels/connection-record-store.ts";
import { positionsAt, type Beginning, type DeliveryTrail } from "../channels/delivery-trail.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Control, ControlCommand } from "../cluster/control.ts";
import { closing } from "../protocol/closings.ts";
import type { Position } from "../protocol/scalars.ts";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import type { Connection } from "./connection.ts";

/** A client that says it was here before. */
export interface Returning {
  privateId: string;
  /** Stamp of the last publication it says it read; not a number where it says something else. */
  stamp: number;
  record: ConnectionRecord;
}

/** Socket.IO's own recovery, for stock clients, on any node. */
export interface Recovery {
  /** Milliseconds in which a client may come back. */
  readonly windowMs: number;
  /** `offset` is what the client was last given beside a publication. Undefined where nothing is known of it. */
  find(privateId: string, offset: string): Promise<Returning | undefined>;
  /**
   * Takes the connection's subscriptions up again on `connection`, whose authentication stands. Undefined where that
   * cannot be done whole, or the connection was another's: then nothing was taken up.
   */
  restore(connection: Connection, returning: Returning): Promise<Restored | undefined>;
  /** Closes the client's old connection, where it is still open. False where there is none, or it was another's. */
  makeWay(privateId: string, client: { userId: string; sessionId: string }): Promise<boolean>;
  /** A new connection, under an id that only its client will know. */
  open(connection: Connection, privateId: string): void;
  /** Keeps the record from here on; what was subscribed since `open` is in it. */
  begin(connection: Connection): Promise<void>;
  /** What the client is to hand back if it is cut off now: the stamp up to which it has everything. */
  stampOf(connection: Connection): number;
  /** A connection that was restored has gone before it was welcomed. */
  abandon(connection: Connection): void;
  /** The connection has gone, its subscriptions still stand; `mayReturn` is false after a goodbye. */
  end(connection: Connection, mayReturn: boolean): Promise<void>;
  readonly records: SubscriptionRecords;
  /**
   * The store may have lost some of what was kept: it is written anew for every connection of this node, those included
   * that have gone and may come back.
   */
  rewriteAll(): void;
  /** Closes the connections that a control command says were replaced; answers how many were open. */
  perform(command: ControlCommand): number;
  start(): void;
  stop(): Promise<void>;
}

export interface RecoveryDeps {
  store: ConnectionRecordStore;
  channels: () => Pick<Channels, "restore" | "leave" | "begunOf" | "stampOf" | "lastStamp" | "trailOf" | "mark">;
  control: () => Pick<Control, "command" | "incarnation" | "living" | "fence">;
  clock: Clock;
  log: Logger;
}

export interface RecoveryOptions {
  windowSeconds: number;
  renewEverySeconds: number;
  /**
   * Where each slot has its own clock, a stamp does not order publications over channels. Then a connection's node says
   * what it delivered last, and in which order (`channels/delivery-trail.ts`); where it cannot, a client is given again what
   * came shortly before the stamp, rather than missing what another slot stamped earlier and delivered later.
   */
  isCluster: boolean;
}

interface Ticket {
  privateId: string;
  owner: string;
  /** It had everything up to here when this connection began. */
  stamp: number;
  /** The same when the first of its connections began. */
  firstStamp: number;
  /** How often the record has been taken, this connection included. */
  takes: number;
  /** Kept on a Cluster, where stamps alone do not tell what was read. */
  beginning?: Beginning | undefined;
  /** The record is in the store, or on its way. */
  isBegun: boolean;
  /** Its client has come back elsewhere. */
  isReplaced?: boolean;
}

type PositionMap = ReadonlyMap<string, Position>;

const noPositions: PositionMap = new Map();

/** Until its client has come back elsewhere, only its node knows what its record said last. */
interface Gone {
  ticket: Ticket;
  record: ConnectionRecord;
  trail: DeliveryTrail | undefined;
  /** Monotonic milliseconds. */
  until: number;
}

/** The node's id in an incarnation or an owner: after an outage a node has another incarnation, and its connections go on. */
const nodeOf = (name: string): string => name.slice(0, name.lastIndexOf("/"));

/** Longer than the clocks of two shards should differ, and than a gap takes to mend. */
const clusterMarginMicros = 10_000_000;

/** Milliseconds that a client waits for what its last node delivered, and between two looks. */
const maxTrailWaitMs = 1_000;
const lookForTrailMs = 20;
/** Milliseconds between two looks at a record that its node has yet to write anew; each wait is twice the one before. */
const firstRewriteWaitMs = 100;
const lastRewriteWaitMs = 1_600;
/** The same while its node need not be known to live: after an outage that takes a heartbeat. */
const unknownNodeWaitMs = 400;

/** Connections that have gone, remembered at most: beyond, those that went first cannot be written anew. */
const maxGone = 10_000;

/** Milliseconds between two rewritings of records, and records rewritten at the same time. */
const rewritePaceMs = 10;
const recordsAtOnce = 500;

/** Milliseconds in which connections that were replaced are told of together. */
const replacedPaceMs = 20;

const replaceType = "replace.connection";

export function createRecovery(deps: RecoveryDeps, options: RecoveryOptions): Recovery {
  const { store, clock, log } = deps;
  const margin = options.isCluster ? clusterMarginMicros : 0;
  const tickets = new Map<Subscriber, Ticket>();
  const owners = new Map<string, Connection>();
  const rounds = new WriteBehind(
    { write: rewrite, mayWrite: () => deps.control().fence.isOpen, clock, log },
    { description: "connection records", intervalMs: rewritePaceMs, batchSize: recordsAtOnce },
  );
  /** Connections that have gone and may come back, by owner, those that went first in front. */
  const gone = new Map<string, Gone>();
  const replacements = new WriteBehind(
    { write: tellReplaced, mayWrite: () => true, clock, log },
    { description: "replaced connections", intervalMs: replacedPaceMs, batchSize: recordsAtOnce },
  );
  let cancelRenewal: Cancel | undefined;

  let ownerCount = 0;
  const ownerOf = (): string => `${deps.control().incarnation}|${(ownerCount += 1)}`;

  function issue(connection: Connection, ticket: Ticket): void {
    tickets.set(connection.subscriber, ticket);
    owners.set(ticket.owner, connection);
  }

  const recordOf = ({ id, identity, subscriber }: Connection, { firstStamp }: Ticket): ConnectionRecord => ({
    holder: { socketId: id, userId: identity.userId, sessionId: identity.sessionId, stamp: firstStamp },
    begun: deps.channels().begunOf(subscriber),
  });

  async function rewrite(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map(rewriteOne));
  }

  async function rewriteOne(owner: string): Promise<void> {
    const connection = owners.get(owner);
    const ticket = connection && tickets.get(connection.subscriber);
    if (connection === undefined) await rewriteGone(gone.get(owner));
    else if (ticket?.isBegun === true)
      await store.rewrite(ticket.privateId, owner, ticket.takes, recordOf(connection, ticket));
  }

  async function rewriteGone(each: Gone | undefined): Promise<void> {
    if (each === undefined) return;
    const { privateId, owner, takes } = each.ticket;
    await Promise.all([
      store.rewrite(privateId, owner, takes, each.record),
      store.release(privateId, owner, each.trail),
    ]);
  }

  /** Only while its subscriptions are known here. */
  function remember(each: Omit<Gone, "until">): void {
    if (each.record.begun.size === 0) return;
    gone.set(each.ticket.owner, { ...each, until: clock.monotonic() + options.windowSeconds * 1_000 });
    forgetGone();
  }

  function forgetGone(): void {
    for (const [owner, { until }] of gone) {
      if (until > clock.monotonic() && gone.size <= maxGone) return;
      gone.delete(owner);
    }
  }

  const isLiving = (owner: string): boolean => deps.control().living.some((node) => nodeOf(node) === nodeOf(owner));

  /** The client goes on elsewhere: a connection that is still open is closed by name, and one that has gone forgotten. */
  function replace(owner: string): void {
    const isElsewhere = nodeOf(owner) !== nodeOf(deps.control().incarnation);
    if (replaceHere(owner) === 0 && isElsewhere && isLiving(owner)) replacements.add(owner);
  }

  /** Where the client stood when it had read what is stamped `stamp`. Its last node may be about to say so. */
  async function positionsOf(privateId: string, taken: TakenRecord, stamp: number): Promise<PositionMap | undefined> {
    const node = taken.before.slice(0, taken.before.indexOf("|"));
    const deadline = clock.monotonic() + maxTrailWaitMs;
    let { trail } = taken;
    while (trail === undefined && deps.control().living.includes(node) && clock.monotonic() < deadline) {
      await sleep(clock, lookForTrailMs);
      trail = await store.findTrail(privateId);
    }
    return trail && positionsAt(trail, stamp);
  }

  /** Nothing was delivered: the next attempt needs the trail. */
  function handBack(privateId: string, owner: string, { trail }: TakenRecord, error: unknown): never {
    store
      .release(privateId, owner, trail)
      .catch((fault: unknown) => log.warn({ err: fault }, "a record was not released"));
    throw error;
  }

  async function tellReplaced(replaced: readonly string[]): Promise<void> {
    await deps.control().command({ type: replaceType, owners: [...replaced] });
  }

  function replaceHere(owner: string): number {
    gone.delete(owner);
    const connection = owners.get(owner);
    const ticket = connection && tickets.get(connection.subscriber);
    if (ticket !== undefined) ticket.isReplaced = true;
    connection?.close(closing("connection_replaced"));
    return connection === undefined ? 0 : 1;
  }

  function perform({ type, owners: replaced }: ControlCommand): number {
    if (type !== replaceType || !Array.isArray(replaced)) return 0;
    return replaced.reduce((count: number, owner: unknown) => count + replaceHere(String(owner)), 0);
  }

  /** If Redis may have lost some of a record, its node is given the time to write it anew, as long as that lives. */
  async function takeWhole(privateId: string, owner: string): Promise<TakenRecord | undefined> {
    for (let waitMs = firstRewriteWaitMs; ; waitMs *= 2) {
      const taken = await store.take(privateId, owner);
      if (taken === undefined || taken.record !== undefined || waitMs > lastRewriteWaitMs) return taken;
      if (waitMs > unknownNodeWaitMs && !isLiving(taken.before || taken.left)) return taken;
      await sleep(clock, waitMs);
    }
  }

  async function end(connection: Connection, mayReturn: boolean): Promise<void> {
    const ticket = tickets.get(connection.subscriber);
    if (ticket === undefined) return;
    const record = recordOf(connection, ticket);
    tickets.delete(connection.subscriber);
    owners.delete(ticket.owner);
    const { privateId, owner, beginning, isReplaced = false } = ticket;
    const trail = beginning && deps.channels().trailOf(connection.subscriber, beginning);
    if (mayReturn && !isReplaced && ticket.isBegun) remember({ ticket, record, trail });
    if (!mayReturn && !isReplaced) return store.end(privateId, owner);
    // If another connection has it, that one's node knows what it says.
    if (!(await store.release(privateId, owner, trail))) gone.delete(owner);
  }

  return {
    windowMs: options.windowSeconds * 1_000,

    async find(privateId, offset) {
      if (!/^[\w-]{1,64}$/.test(privateId)) return undefined;
      const record = await store.find(privateId);
      const stamp = /^\d{1,16}$/.test(offset) ? Number(offset) : Number.NaN;
      return record === undefined ? undefined : { privateId, stamp, record };
    },

    async restore(connection, { privateId, stamp, record: { holder } }) {
      const { identity, subscriber } = connection;
      if (holder.userId !== identity.userId || holder.sessionId !== identity.sessionId) return undefined;
      const owner = ownerOf();
      const taken = await takeWhole(privateId, owner);
      if (taken === undefined) return undefined;
      replace(taken.before || taken.left);
      if (taken.record === undefined) return undefined;
      const { begun } = taken.record;
      if (!(stamp >= holder.stamp - margin)) return undefined;
      const read = options.isCluster ? await positionsOf(privateId, taken, stamp) : undefined;
      const restored = await deps
        .channels()
        .restore(subscriber, identity, begun, stamp - margin, read)
        .catch((error: unknown) => handBack(privateId, owner, taken, error));
      if (restored === undefined) return undefined;
      const { missed, mark, positions } = restored;
      issue(connection, {
        privateId,
        owner,
        // Not less than it has told where nothing was missed: by the margin it would fall behind with every return.
        stamp: missed.length === 0 ? stamp : restored.stamp,
        beginning: options.isCluster ? { mark, since: stamp, missed, positions } : undefined,
        firstStamp: holder.stamp,
        takes: taken.takes,
        isBegun: true,
      });
      return restored;
    },

    async makeWay(privateId, { userId, sessionId }) {
      const holder = (await store.find(privateId))?.holder;
      if (holder?.userId !== userId || holder.sessionId !== sessionId) return false;
      const taken = await store.take(privateId, "");
      if (taken === undefined || taken.before === "") return false;
      replace(taken.before);
      return true;
    },

    open(connection, privateId) {
      const { lastStamp: stamp, mark } = deps.channels();
      const beginning = options.isCluster ? { mark, since: stamp, missed: [], positions: noPositions } : undefined;
      issue(connection, { privateId, owner: ownerOf(), stamp, firstStamp: stamp, takes: 0, beginning, isBegun: false });
    },

    async begin(connection) {
      const ticket = tickets.get(connection.subscriber);
      if (ticket === undefined || ticket.isBegun) return;
      ticket.isBegun = true;
      await store.begin(ticket.privateId, ticket.owner, recordOf(connection, ticket));
    },

    stampOf: ({ subscriber }) => Math.max(tickets.get(subscriber)?.stamp ?? 0, deps.channels().stampOf(subscriber)),

    abandon(connection) {
      deps.channels().leave(connection.subscriber);
      end(connection, true).catch((error: unknown) => log.warn({ err: error }, "releasing a connection record failed"));
    },

    end,

    // A change that found no record has overtaken its beginning, or the record was lost: then all of it is written.
    records: {
      async keep(subscriber, channel, begun) {
        const ticket = tickets.get(subscriber);
        if (ticket?.isBegun !== true) return;
        const isKept = await store.keep(ticket.privateId, ticket.owner, channel, begun);
        if (!isKept) await rewriteOne(ticket.owner);
      },
      async drop(subscriber, channel) {
        const ticket = tickets.get(subscriber);
        if (ticket?.isBegun !== true) return;
        const isDropped = await store.drop(ticket.privateId, ticket.owner, channel);
        if (!isDropped) await rewriteOne(ticket.owner);
      },
      rewrite(subscriber) {
        const ticket = tickets.get(subscriber);
        if (ticket?.isBegun === true) rounds.add(ticket.owner);
      },
    },

    rewriteAll() {
      forgetGone();
      for (const owner of [...owners.keys(), ...gone.keys()]) rounds.add(owner);
    },

    perform,

    start() {
      cancelRenewal = clock.every(options.renewEverySeconds * 1_000, () => {
        const privateIds = [...tickets.values()].map(({ privateId }) => privateId);
        store
          .renew(privateIds)
          .catch((error: unknown) => log.warn({ err: error }, "renewing connection records failed"));
      });
    },

    async stop() {
      cancelRenewal?.();
      await Promise.all([rounds.stop(), replacements.stop()]);
    },
  };
}
