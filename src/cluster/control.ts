import { randomUUID } from "node:crypto";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import {
  commandRetentionMs,
  leaseMs,
  maxCommands,
  type Heartbeat,
  type ControlStore,
  type LoggedCommand,
} from "./control-store.ts";
import { createFence, type Fence } from "./fence.ts";
import { Membership } from "./membership.ts";

/** Result of a command; `count` is the sum over all nodes that acknowledged. */
export interface CommandOutcome {
  count: number;
  /** Nodes asked. */
  nodes: number;
  /** Nodes that acknowledged. */
  acknowledged: number;
}

/** A command, with whatever its sender needs to tell repeats apart. */
export interface ControlCommand {
  type: string;
  [field: string]: unknown;
}

export interface ControlDeps {
  store: ControlStore;
  clock: Clock;
  log: Logger;
  nodeId: string;
  /** Calls back when the command log has a new entry. */
  onAppended: (pull: () => void) => Promise<void>;
  /** Redis' clock, read between two moments of the monotonic clock, with each heartbeat. */
  onTime?: ((time: number, sentAt: number, receivedAt: number) => void) | undefined;
}

/**
 * Performs a command on this node and returns how many things it affected. The command is confirmed when it has returned, or
 * its promise has settled. Commands may be repeated; each has its own `id`, in the order of `compareCommands`.
 */
export type CommandHandler = (command: ControlCommand, id: string) => number | Promise<number>;

export interface CommandOptions {
  /**
   * The command takes something away: a node that was fenced when it read the command delivers nothing before the handler has
   * settled. @default false
   */
  beforeReopening?: boolean;
}

/** Cleans up after a dead node. Every living node is asked, and again if it fails. */
export type DeadNodeHandler = (node: string) => Promise<void> | void;

const heartbeatEveryMs = 500;
/** A handler that takes longer no longer keeps the fence closed. */
const maxSettleMs = 10_000;
/** Between two reads of a command's acknowledgements. */
const pollEveryMs = 5;

/**
 * The command log that every node must follow and acknowledge, for commands that must not be lost, such as
 * revocations. A node holds a lease. The sender of a command waits for every living node until it acknowledges or its
 * lease must have expired. A node with an expired lease is fenced: it delivers nothing until a heartbeat has read
 * what it missed.
 */
export class Control {
  readonly fence: Fence;
  readonly membership: Membership;
  readonly #deps: ControlDeps;
  readonly #warn: PacedWarnings;
  readonly #inform: PacedWarnings;
  readonly #handlers = new Map<string, { handle: CommandHandler } & CommandOptions>();
  /** Commands that are being performed and keep the fence closed, if it is. */
  readonly #unsettled = new Set<Promise<unknown>>();
  readonly #deadNodeHandlers: DeadNodeHandler[] = [];
  readonly #missedCommandsHandlers: (() => void)[] = [];
  readonly #cleaningUp = new Set<string>();
  /** Names that this process has lost, until their tombstones are removed. */
  readonly #formerIncarnations = new Set<string>();
  #incarnation: string;
  /** The name that this node has lost, until it is back. */
  #lost: string | undefined;
  #hasSentHeartbeat = false;
  #followed: string | undefined;
  #followedAt = Number.POSITIVE_INFINITY;
  #cancelHeartbeats: Cancel | undefined;
  #pending: Promise<void> | undefined;
  #mustRepeat = false;
  #isStopped = false;

  constructor(deps: ControlDeps) {
    this.#deps = deps;
    this.#warn = createPacedWarnings(deps.log);
    this.#inform = createPacedWarnings(deps.log, { level: "info" });
    this.#incarnation = incarnationOf(deps);
    this.fence = createFence(deps.clock, leaseMs);
    this.membership = new Membership({ clock: deps.clock, heartbeatNow: () => this.#requestHeartbeat() });
  }

  /** This node's name while its lease lasts. A node that restarted, or lost its lease, gets another one. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** Id of the last command that this node has begun to perform; empty before its first heartbeat. */
  get performed(): string {
    return this.#followed ?? "";
  }

  /** Nodes with a lease at the last heartbeat, by incarnation. */
  get living(): readonly string[] {
    return this.membership.living;
  }

  /** Registers the handler of a command type. A command without a handler is confirmed with a count of 0. */
  on(type: string, handle: CommandHandler, options: CommandOptions = {}): void {
    this.#handlers.set(type, { handle, ...options });
  }

  onDeadNode(handler: DeadNodeHandler): void {
    this.#deadNodeHandlers.push(handler);
  }

  /** Called if the node was offline longer than commands are kept and may have missed some. */
  onMissedCommands(handler: () => void): void {
    this.#missedCommandsHandlers.push(handler);
  }

  async start(): Promise<void> {
    let hasJoined = false;
    // A second heartbeat before the reply of the first would not know what that one followed.
    await this.#deps.onAppended(() => (hasJoined ? this.#requestHeartbeat() : void (this.#mustRepeat = true)));
    await this.#heartbeat();
    hasJoined = true;
    this.#cancelHeartbeats = this.#deps.clock.every(heartbeatEveryMs, () => this.#requestHeartbeat());
    if (this.#mustRepeat) this.#requestHeartbeat();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelHeartbeats?.();
    await this.#pending;
    this.membership.heartbeatFailed(stoppedError());
    await this.#deps.store.leave(this.#incarnation);
  }

  /**
   * Sends a command to every living node. Store errors are passed through; then it is unknown which nodes received
   * it.
   */
  async command(command: ControlCommand): Promise<CommandOutcome> {
    const { id, asked } = await this.#deps.store.append(JSON.stringify(command));
    const deadline = this.#deps.clock.monotonic() + leaseMs + heartbeatEveryMs;
    let acknowledgements = new Map<string, number>();
    while (asked.some((node) => !acknowledgements.has(node)) && this.#deps.clock.monotonic() < deadline) {
      await sleep(this.#deps.clock, pollEveryMs);
      acknowledgements = await this.#deps.store.acknowledgements(id);
    }
    return outcomeOf(asked, acknowledgements);
  }

  /** Calls `replay` with the commands of the last `ms`, as far as they are kept, oldest first, with the id and age of each. */
  async replayRecent(ms: number, replay: (command: ControlCommand, id: string, ageMs: number) => void): Promise<void> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    let page: LoggedCommand[] = [];
    let last = `${Math.max(0, Math.floor(now - ms))}`;
    do {
      page = await store.commandsAfter(last);
      for (const { id, json } of page) {
        const command = parseCommand(json);
        if (command !== undefined) replay(command, id, Math.max(0, now - Number.parseInt(id, 10)));
        last = id;
      }
    } while (page.length === maxCommands);
  }

  /** Sends a heartbeat; if one is pending, another follows it. None after the node has left, which would bring it back. */
  #requestHeartbeat(): void {
    if (this.#isStopped) return this.membership.heartbeatFailed(stoppedError());
    if (this.#pending !== undefined) {
      this.#mustRepeat = true;
      return;
    }
    this.#pending = this.#heartbeat()
      .catch((error: unknown) => {
        this.#warn({ err: error }, "heartbeat failed");
        this.fence.failed(error);
        this.membership.heartbeatFailed(error instanceof Error ? error : new Error(String(error)));
        // It may have been performed, and the name given up since.
        if (!this.#hasSentHeartbeat) this.#incarnation = incarnationOf(this.#deps);
      })
      .finally(() => {
        this.#pending = undefined;
        if (this.#mustRepeat) this.#requestHeartbeat();
      });
  }

  async #heartbeat(): Promise<void> {
    this.#mustRepeat = false;
    const sentAt = this.#deps.clock.monotonic();
    const { heartbeat, version } = this.membership.heartbeatSent();
    const { store } = this.#deps;
    const reply = await store.heartbeat(this.#incarnation, this.#followed, this.#hasSentHeartbeat, version);
    this.#deps.onTime?.(reply.time, sentAt, this.#deps.clock.monotonic());
    this.#hasSentHeartbeat = !reply.isExpired;
    this.#checkContinuity(reply, sentAt);
    for (const command of reply.commands) this.#perform(command);
    const wasAway = reply.isExpired || (this.#followed !== undefined && !this.fence.isOpen);
    this.#followed = reply.lastId;
    this.#followedAt = sentAt;
    this.membership.heartbeatDone(heartbeat, reply, wasAway);
    if (reply.isExpired) this.#renew();
    if (reply.isExpired || reply.commands.length === maxCommands) return void (this.#mustRepeat = true);
    if (this.#unsettled.size > 0 && !this.fence.isOpen) return;
    this.fence.renew(sentAt);
    this.#logReturn();
    for (const node of reply.dead) this.#cleanUp(node);
  }

  /** Nothing is written under a name before its first heartbeat. */
  #renew(): void {
    this.fence.close();
    this.#formerIncarnations.add(this.#incarnation);
    this.#lost ??= this.#incarnation;
    this.#incarnation = incarnationOf(this.#deps);
  }

  #logReturn(): void {
    if (this.#lost === undefined || !this.fence.isOpen) return;
    const names = { former: this.#lost, incarnation: this.#incarnation };
    this.#inform(names, "this node is back: its lease had ended, and others may have declared its former name dead");
    this.#lost = undefined;
  }

  #cleanUp(node: string): void {
    if (this.#cleaningUp.has(node)) return;
    this.#cleaningUp.add(node);
    if (!this.#formerIncarnations.has(node))
      this.#deps.log.warn(
        { dead: node },
        "node declared dead: its lease ended, because it died or was cut off from Redis",
      );
    this.#handleDeadNode(node)
      .then(() => this.#deps.store.removeTombstone(node))
      .then(() => this.#formerIncarnations.delete(node))
      .catch((error: unknown) =>
        this.#deps.log.warn({ dead: node, err: error }, "cleaning up after a dead node failed; retrying"),
      )
      .finally(() => this.#cleaningUp.delete(node));
  }

  async #handleDeadNode(node: string): Promise<void> {
    for (const handle of this.#deadNodeHandlers) await handle(node);
  }

  /** Reports if this node may have missed commands since its last heartbeat. */
  #checkContinuity({ lastId }: Heartbeat, sentAt: number): void {
    if (this.#followed !== undefined && compareCommands(lastId, this.#followed) < 0) {
      this.#deps.log.error(
        { lastId, followed: this.#followed },
        "Redis lost the control log; revocations issued in the meantime may be lost",
      );
    }
    if (sentAt - this.#followedAt > commandRetentionMs) for (const handle of this.#missedCommandsHandlers) handle();
  }

  #perform({ id, json }: LoggedCommand): void {
    const command = parseCommand(json);
    if (command === undefined) return this.#warn({ id }, "ignored a malformed control command");
    const { handle, beforeReopening = false } = this.#handlers.get(command.type) ?? {};
    const perform = async (): Promise<number> => (await handle?.(command, id)) ?? 0;
    const count = perform();
    if (beforeReopening) this.#holdFence(count);
    const incarnation = this.#incarnation;
    count
      .then((number) => this.#deps.store.acknowledge(id, incarnation, number))
      .catch((error: unknown) => {
        this.#warn({ id, type: command.type, err: error }, "acknowledging a control command failed");
      });
  }

  #holdFence(performing: Promise<unknown>): void {
    const settled = Promise.race([performing.catch(() => undefined), sleep(this.#deps.clock, maxSettleMs)]);
    this.#unsettled.add(settled);
    void settled.then(() => {
      this.#unsettled.delete(settled);
      if (!this.fence.isOpen) this.#requestHeartbeat();
    });
  }
}

const stoppedError = (): Error => new Error("Connection is closed.");

const incarnationOf = ({ nodeId, clock }: ControlDeps): string =>
  `${nodeId}/${clock.now().toString(36)}-${randomUUID().slice(0, 8)}`;

function outcomeOf(asked: readonly string[], acknowledgements: ReadonlyMap<string, number>): CommandOutcome {
  const counts = asked.map((node) => acknowledgements.get(node)).filter((count) => count !== undefined);
  return { count: counts.reduce((sum, count) => sum + count, 0), nodes: asked.length, acknowledged: counts.length };
}

/** Undefined for anything but an object with a `type`. */
function parseCommand(json: string): ControlCommand | undefined {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== "object" || value === null || !("type" in value) || typeof value.type !== "string")
      return undefined;
    return value as ControlCommand;
  } catch {
    return undefined;
  }
}

/** Negative if the command with the first id is older. */
export function compareCommands(a: string, b: string): number {
  const [aTime = 0, aSequence = 0] = a.split("-").map(Number);
  const [bTime = 0, bSequence = 0] = b.split("-").map(Number);
  return aTime - bTime || aSequence - bSequence;
}
