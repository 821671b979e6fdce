import type { Channels } from "../channels/channels.ts";
import type { DeliveryStart } from "../channels/delivery-trail.ts";
import type { RecoveryRecord, RecoveryRecordStore } from "../channels/recovery-record-store.ts";
import type { Principal } from "../channels/permissions.ts";
import type { StoredStart } from "../channels/stored-start.ts";
import type { RecoveryRecords } from "../channels/subscription.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Control } from "../cluster/control.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import type { Connection } from "./connection.ts";
import { DisconnectedSessions } from "./disconnected-sessions.ts";
import { hasData, recordedStateOf } from "./socket-state.ts";

export interface SessionRecordsDeps {
  store: RecoveryRecordStore;
  channels: Pick<Channels, "startsOf" | "trailOf">;
  /** Whether the channel has state. */
  hasState: (channel: string) => boolean;
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: unknown) => boolean;
  control: Pick<Control, "fence" | "performed">;
  clock: Clock;
  log: Logger;
}

export interface SessionRecordsOptions {
  windowSeconds: number;
  renewEverySeconds: number;
}

/** How a connection's session is recorded. */
export interface RecoveryHandle {
  privateId: string;
  owner: string;
  /** The client had received everything up to this timestamp when this connection began. */
  timestamp: number;
  /** The same for the first connection of the session. */
  firstTimestamp: number;
  /** How often the session has been taken over, including by this connection. */
  takes: number;
  /** Cluster only: timestamps alone do not tell what was received. */
  startPosition?: DeliveryStart | undefined;
  /** The session is in Redis, or being written. */
  isPersisted: boolean;
  /** Its client has reconnected elsewhere. */
  isReplaced?: boolean;
  /** What is recorded of its socket's rooms and data (`socket-state.ts`). Absent from most, to save its memory. */
  socketState?: string;
}

/** Milliseconds between two batches of rewritten records, and max records per batch. */
const rewritePaceMs = 10;
const recordsAtOnce = 500;
/** The same for states of sockets, which are compared with what is recorded before. */
const statePaceMs = 10;
const statesAtOnce = 100;

/**
 * The records of this node's sessions: of open connections, and for a while of those that were cut off, because Redis may lose a
 * record's last change and only this node can write it again.
 */
export class SessionRecords implements RecoveryRecords {
  readonly #deps: SessionRecordsDeps;
  readonly #options: SessionRecordsOptions;
  readonly #handles = new Map<Subscriber, RecoveryHandle>();
  /** By owner. */
  readonly #connections = new Map<string, Connection>();
  readonly #disconnected: DisconnectedSessions<RecoveryHandle>;
  readonly #rewrites: WriteBehind;
  /** Sockets whose state may have changed. */
  readonly #states: WriteBehind;
  readonly #warn: PacedWarnings;
  #cancelRenewal: Cancel | undefined;

  constructor(deps: SessionRecordsDeps, options: SessionRecordsOptions) {
    const { clock, log, control } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#disconnected = new DisconnectedSessions(clock, options.windowSeconds * 1_000);
    const write = async (owners: readonly string[]): Promise<void> => {
      await Promise.all(owners.map((owner) => this.#rewriteOne(owner)));
    };
    this.#rewrites = new WriteBehind(
      { write, mayWrite: () => control.fence.isOpen, clock, log },
      { description: "connection records", intervalMs: rewritePaceMs, batchSize: recordsAtOnce },
    );
    this.#states = new WriteBehind(
      { write: (owners) => this.#recordStates(owners), mayWrite: () => control.fence.isOpen, clock, log },
      { description: "rooms and data of sockets", intervalMs: statePaceMs, batchSize: statesAtOnce },
    );
    this.#warn = createPacedWarnings(log, { everyMs: 60_000, now: () => clock.monotonic() });
  }

  start(): void {
    const { store, clock, log } = this.#deps;
    this.#cancelRenewal = clock.every(this.#options.renewEverySeconds * 1_000, () => {
      store
        .renew([...this.#handles.values()].map(({ privateId }) => privateId))
        .catch((error: unknown) => log.warn({ err: error }, "renewing connection records failed"));
      this.#checkStates();
    });
  }

  async stop(): Promise<void> {
    this.#cancelRenewal?.();
    await Promise.all([this.#rewrites.stop(), this.#states.stop()]);
  }

  of(subscriber: Subscriber): RecoveryHandle | undefined {
    return this.#handles.get(subscriber);
  }

  add(connection: Connection, handle: RecoveryHandle): void {
    this.#handles.set(connection.subscriber, handle);
    this.#connections.set(handle.owner, connection);
  }

  persist(connection: Connection): Promise<unknown> | undefined {
    const handle = this.#handles.get(connection.subscriber);
    if (handle === undefined) return undefined;
    // A recovered connection, which the app may have changed since.
    if (handle.isPersisted) {
      this.#states.add(handle.owner);
      return undefined;
    }
    handle.isPersisted = true;
    return this.#deps.store.begin(handle.privateId, handle.owner, this.#recordOf(connection, handle));
  }

  /** The client has reconnected elsewhere: forgets its session here, and returns its connection if that is open. */
  replaced(owner: string): Connection | undefined {
    this.#disconnected.delete(owner);
    const connection = this.#connections.get(owner);
    const handle = connection && this.#handles.get(connection.subscriber);
    if (handle !== undefined) handle.isReplaced = true;
    return connection;
  }

  async end(connection: Connection, mayReturn: boolean): Promise<void> {
    const { store, channels } = this.#deps;
    const handle = this.#handles.get(connection.subscriber);
    if (handle === undefined) return;
    const record = this.#recordOf(connection, handle);
    this.#handles.delete(connection.subscriber);
    this.#connections.delete(handle.owner);
    const { privateId, owner, startPosition: beginning, isReplaced = false, socketState } = handle;
    const trail = beginning && channels.trailOf(connection.subscriber, beginning);
    if (mayReturn && !isReplaced && handle.isPersisted) this.#disconnected.add({ handle, record, trail });
    if (!mayReturn && !isReplaced) return store.end(privateId, owner);
    // If another connection has taken it over, that connection's node is responsible for the record.
    const left = { trail, ...((socketState !== undefined || handle.takes > 0) && { socketState: socketState ?? "" }) };
    if (!(await store.release(privateId, owner, record.asOf, left))) this.#disconnected.delete(owner);
  }

  /** Deletes the records of a user's disconnected clients. Resolves to their number. */
  async erase(userId: string): Promise<number> {
    const erased = this.#disconnected.takeOf(userId);
    await Promise.all(erased.map(({ handle }) => this.#deps.store.erase(handle.privateId)));
    return erased.length;
  }

  /** If no record was found, the change overtook `persist` or the record was lost: the whole record is written. */
  save(subscriber: Subscriber, channel: string, start: StoredStart): Promise<void> | undefined {
    const handle = this.#handles.get(subscriber);
    return handle?.isPersisted === true ? this.#keep(handle, channel, start) : undefined;
  }

  /** As `save`. */
  async remove(subscriber: Subscriber, channel: string): Promise<void> {
    const handle = this.#handles.get(subscriber);
    if (handle?.isPersisted !== true) return;
    const isDropped = await this.#deps.store.drop(handle.privateId, handle.owner, channel);
    if (!isDropped) await this.#rewriteOne(handle.owner);
  }

  rewrite(subscriber: Subscriber): void {
    const handle = this.#handles.get(subscriber);
    if (handle?.isPersisted === true) this.#rewrites.add(handle.owner);
  }

  /** Redis may have lost its last writes. */
  rewriteAll(): void {
    this.#disconnected.forget(({ record }) => [...record.starts.keys()].some(this.#deps.hasState));
    for (const owner of [...this.#connections.keys(), ...this.#disconnected.owners()]) this.#rewrites.add(owner);
  }

  /** Rooms of a socket have changed. */
  roomsChanged({ id, subscriber }: Connection, rooms: Iterable<unknown>): void {
    const handle = this.#handles.get(subscriber);
    if (handle?.isPersisted !== true) return;
    for (const room of rooms) if (room !== id && !this.#deps.isChannel(room)) return this.#states.add(handle.owner);
  }

  /** Nothing tells when data changes. */
  #checkStates(): void {
    for (const [owner, connection] of this.#connections) {
      const recorded = this.#handles.get(connection.subscriber)?.socketState;
      if (recorded !== undefined || hasData(connection.data)) this.#states.add(owner);
    }
  }

  async #recordStates(owners: readonly string[]): Promise<void> {
    await Promise.all(owners.map((owner) => this.#recordState(owner)));
    // There may be as many as connections, and nothing to write.
    await new Promise((resolve) => setImmediate(resolve));
  }

  async #recordState(owner: string): Promise<void> {
    const connection = this.#connections.get(owner);
    const handle = connection && this.#handles.get(connection.subscriber);
    if (handle?.isPersisted !== true) return;
    const state = this.#stateOf(connection as Connection, handle);
    if (state === (handle.socketState ?? "")) return;
    if (!(await this.#deps.store.setState(handle.privateId, owner, state))) return this.#rewriteOne(owner);
    handle.socketState = state;
  }

  /** As it is to be recorded. What it was at last if that is not known any more. */
  #stateOf(
    { id, identity, rooms, data }: Connection,
    { socketState = "" }: RecoveryHandle,
    starts?: ReadonlyMap<unknown, StoredStart>,
  ): string {
    if (rooms === undefined) return socketState;
    const live: unknown[] = [];
    // Most are in `starts`, which is cheaper to ask.
    for (const room of rooms)
      if (room !== id && starts?.has(room) !== true && !this.#deps.isChannel(room)) live.push(room);
    const { text, problem } = recordedStateOf(live, data);
    if (problem !== undefined && text !== socketState)
      this.#warn(
        { problem, userId: identity.userId },
        "rooms and data of a socket cannot be recorded; if its client comes back, socket.recovered is false",
      );
    return text;
  }

  #recordOf(connection: Connection, handle: RecoveryHandle): RecoveryRecord {
    const { id, identity, subscriber } = connection;
    const starts = this.#deps.channels.startsOf(subscriber);
    const state = this.#stateOf(connection, handle, starts);
    if (state !== (handle.socketState ?? "")) handle.socketState = state;
    return {
      holder: {
        socketId: id,
        userId: identity.userId,
        sessionId: identity.sessionId,
        timestamp: handle.firstTimestamp,
      },
      starts: withTokens(starts, identity),
      asOf: this.#deps.control.performed,
      ...(state !== "" && { socketState: state }),
    };
  }

  async #keep({ privateId, owner }: RecoveryHandle, channel: string, start: StoredStart): Promise<void> {
    const connection = this.#connections.get(owner);
    const kept = connection === undefined ? start : withToken(start, channel, connection.identity);
    const isKept = await this.#deps.store.keep(privateId, owner, channel, kept);
    if (!isKept) await this.#rewriteOne(owner);
  }

  async #rewriteOne(owner: string): Promise<void> {
    const connection = this.#connections.get(owner);
    const handle = connection && this.#handles.get(connection.subscriber);
    if (connection === undefined) await this.#rewriteDisconnected(owner);
    else if (handle?.isPersisted === true)
      await this.#deps.store.rewrite(handle.privateId, owner, handle.takes, this.#recordOf(connection, handle));
  }

  async #rewriteDisconnected(owner: string): Promise<void> {
    const each = this.#disconnected.get(owner);
    if (each === undefined) return;
    const { store } = this.#deps;
    const { privateId, takes } = each.handle;
    await Promise.all([
      store.rewrite(privateId, owner, takes, each.record),
      store.release(privateId, owner, each.record.asOf, { trail: each.trail }),
    ]);
  }
}

function withToken(start: StoredStart, channel: string, { channelTokens }: Principal): StoredStart {
  const token = channelTokens?.get(channel);
  return token === undefined ? start : { ...start, token };
}

function withTokens(starts: Map<string, StoredStart>, principal: Principal): Map<string, StoredStart> {
  if (principal.channelTokens === undefined) return starts;
  return new Map([...starts].map(([channel, start]) => [channel, withToken(start, channel, principal)]));
}
