import type { Restored, SubscriptionRecords } from "../channels/answers.ts";
import type { Channels } from "../channels/channels.ts";
import type { ConnectionRecord, ConnectionRecordStore } from "../channels/connection-record-store.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Control, ControlCommand } from "../cluster/control.ts";
import { closing } from "../protocol/closings.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
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
  /** The connection has gone; `mayReturn` is false after a goodbye. */
  end(connection: Connection, mayReturn: boolean): Promise<void>;
  readonly records: SubscriptionRecords;
  /** Closes the connection that a control command says was replaced. */
  perform(command: ControlCommand): number;
  start(): void;
  stop(): void;
}

export interface RecoveryDeps {
  store: ConnectionRecordStore;
  channels: () => Pick<Channels, "restore" | "leave" | "stampOf" | "lastStamp">;
  control: () => Pick<Control, "command" | "incarnation" | "living">;
  clock: Clock;
  log: Logger;
}

export interface RecoveryOptions {
  windowSeconds: number;
  renewEverySeconds: number;
  /**
   * Where each slot has its own clock, a stamp does not order publications over channels: then a client is given again
   * what came shortly before the stamp, rather than missing what another slot stamped earlier and delivered later.
   */
  isCluster: boolean;
}

interface Ticket {
  privateId: string;
  owner: string;
  /** It had everything up to here when this connection began. */
  stamp: number;
  /** Before the record is begun: what will be in it. */
  pending: Map<string, Position> | undefined;
}

/** Longer than the clocks of two shards should differ, and than a gap takes to mend. */
const clusterMarginMicros = 10_000_000;

const replaceType = "replace.connection";

export function createRecovery(deps: RecoveryDeps, options: RecoveryOptions): Recovery {
  const { store, clock, log } = deps;
  const margin = options.isCluster ? clusterMarginMicros : 0;
  const tickets = new Map<Subscriber, Ticket>();
  const owners = new Map<string, Connection>();
  let cancelRenewal: Cancel | undefined;

  let ownerCount = 0;
  const ownerOf = (): string => `${deps.control().incarnation}|${(ownerCount += 1)}`;

  function issue(connection: Connection, ticket: Ticket): void {
    tickets.set(connection.subscriber, ticket);
    owners.set(ticket.owner, connection);
  }

  /** A connection that is still open somewhere is this client's past: it is closed by name. */
  function replace(owner: string): void {
    if (perform({ type: replaceType, owner }) > 0) return;
    const node = owner.slice(0, owner.indexOf("|"));
    const { incarnation, living } = deps.control();
    if (node === "" || node === incarnation || !living.includes(node)) return;
    const command = deps.control().command({ type: replaceType, owner });
    command.catch((error: unknown) => log.warn({ reason: String(error) }, "a replaced connection was not told"));
  }

  function perform({ type, owner }: ControlCommand): number {
    const connection = type === replaceType && typeof owner === "string" ? owners.get(owner) : undefined;
    connection?.close(closing("connection_replaced"));
    return connection === undefined ? 0 : 1;
  }

  async function end(connection: Connection, mayReturn: boolean): Promise<void> {
    const ticket = tickets.get(connection.subscriber);
    if (ticket === undefined) return;
    tickets.delete(connection.subscriber);
    owners.delete(ticket.owner);
    if (mayReturn) await store.release(ticket.privateId, ticket.owner);
    else await store.end(ticket.privateId, ticket.owner);
  }

  return {
    windowMs: options.windowSeconds * 1_000,

    async find(privateId, offset) {
      if (!/^[\w-]{1,64}$/.test(privateId)) return undefined;
      const record = await store.find(privateId);
      const stamp = /^\d{1,16}$/.test(offset) ? Number(offset) : Number.NaN;
      return record === undefined ? undefined : { privateId, stamp, record };
    },

    async restore(connection, { privateId, stamp, record }) {
      const { identity, subscriber } = connection;
      const { holder, begun } = record;
      if (holder.userId !== identity.userId || holder.sessionId !== identity.sessionId) return undefined;
      const owner = ownerOf();
      const before = await store.take(privateId, owner);
      if (before === undefined) return undefined;
      if (before !== "") replace(before);
      if (!(stamp >= holder.stamp - margin)) return undefined;
      const restored = await deps.channels().restore(subscriber, identity, begun, stamp - margin);
      if (restored !== undefined) issue(connection, { privateId, owner, stamp: restored.stamp, pending: undefined });
      return restored;
    },

    async makeWay(privateId, { userId, sessionId }) {
      const holder = (await store.find(privateId))?.holder;
      if (holder?.userId !== userId || holder.sessionId !== sessionId) return false;
      const before = await store.take(privateId, "");
      if (before === undefined || before === "") return false;
      replace(before);
      return true;
    },

    open(connection, privateId) {
      const stamp = deps.channels().lastStamp;
      issue(connection, { privateId, owner: ownerOf(), stamp, pending: new Map() });
    },

    async begin(connection) {
      const ticket = tickets.get(connection.subscriber);
      if (ticket?.pending === undefined) return;
      const begun = ticket.pending;
      ticket.pending = undefined;
      const { userId, sessionId } = connection.identity;
      await store.begin(ticket.privateId, ticket.owner, {
        holder: { socketId: connection.id, userId, sessionId, stamp: ticket.stamp },
        begun,
      });
    },

    stampOf: ({ subscriber }) => Math.max(tickets.get(subscriber)?.stamp ?? 0, deps.channels().stampOf(subscriber)),

    abandon(connection) {
      deps.channels().leave(connection.subscriber);
      end(connection, true).catch((error: unknown) => log.warn({ reason: String(error) }, "a record was not released"));
    },

    end,

    records: {
      async keep(subscriber, channel, begun) {
        const ticket = tickets.get(subscriber);
        if (ticket?.pending !== undefined) ticket.pending.set(channel, begun);
        else if (ticket !== undefined) await store.keep(ticket.privateId, ticket.owner, channel, begun);
      },
      drop(subscriber, channel) {
        const ticket = tickets.get(subscriber);
        ticket?.pending?.delete(channel);
        if (ticket === undefined || ticket.pending !== undefined) return;
        store.drop(ticket.privateId, ticket.owner, channel).catch((error: unknown) => {
          log.warn({ reason: String(error) }, "an ended subscription is still on record");
        });
      },
    },

    perform,

    start() {
      cancelRenewal = clock.every(options.renewEverySeconds * 1_000, () => {
        const privateIds = [...tickets.values()].map(({ privateId }) => privateId);
        store
          .renew(privateIds)
          .catch((error: unknown) => log.warn({ reason: String(error) }, "connection records not renewed"));
      });
    },

    stop: () => cancelRenewal?.(),
  };
}
