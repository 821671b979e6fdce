import { randomUUID } from "node:crypto";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { commandRetentionMs, leaseMs, type Heartbeat, type ControlStore, type LoggedCommand } from "./control-store.ts";
import { createFence, type Fence } from "./fence.ts";
import { Membership } from "./membership.ts";

/** What came of a command: `count` over all nodes that confirmed. */
export interface CommandOutcome {
  count: number;
  /** Nodes asked. */
  nodes: number;
  /** Nodes that confirmed. */
  acknowledged: number;
}

/** A command as its room wrote it, with what tells repeats and races apart. */
export interface ControlCommand {
  type: string;
  [field: string]: unknown;
}

export interface ControlDeps {
  store: ControlStore;
  clock: Clock;
  log: Logger;
  nodeId: string;
  /** Calls back when the control log has grown. */
  onAppended: (pull: () => void) => Promise<void>;
  /** Carries a command out on this node, at once, and says how many it met. Commands may come twice. */
  perform: (command: ControlCommand) => number;
  /** Cleans up after a dead node; every living node is asked to, and asked again where it fails. */
  onDead: (node: string) => Promise<void>;
  /** What the store's clock showed between two moments of the monotonic clock, with each heartbeat. */
  onTime?: ((time: number, sentAt: number, receivedAt: number) => void) | undefined;
  /** The node was away for longer than commands are kept: it cannot know what it missed. */
  onMissedCommands: () => void;
}

const beatEveryMs = 500;
/** Between two looks at the answers of a command. */
const lookEveryMs = 5;

/**
 * Every node follows one log of commands that must not be lost, such as revocations, and answers each. A node holds a
 * lease; whoever gives a command waits for every node whose lease stood, until it answers or its lease must have ended.
 * A node whose lease has ended is fenced: it delivers nothing until a heartbeat has brought what it missed.
 */
export class Control {
  readonly fence: Fence;
  readonly membership: Membership;
  readonly #deps: ControlDeps;
  readonly #warn: PacedWarnings;
  readonly #burying = new Set<string>();
  /** Names that this process has lost, until they are buried. */
  readonly #formerNames = new Set<string>();
  #incarnation: string;
  #hasBeaten = false;
  #followed: string | undefined;
  #followedAt = Number.POSITIVE_INFINITY;
  #cancelBeat: Cancel | undefined;
  #pulling: Promise<void> | undefined;
  #mustPullAgain = false;

  constructor(deps: ControlDeps) {
    this.#deps = deps;
    this.#warn = createPacedWarnings(deps.log);
    this.#incarnation = incarnationOf(deps);
    this.fence = createFence(deps.clock, leaseMs);
    this.membership = new Membership({ clock: deps.clock, beatNow: () => this.#pull() });
  }

  /** Names this node while its lease stands; a node that restarted, or was given up and came back, is another. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** Nodes whose leases stood at the last heartbeat, by incarnation. */
  get living(): readonly string[] {
    return this.membership.living;
  }

  async start(): Promise<void> {
    await this.#deps.onAppended(() => this.#pull());
    await this.#beat();
    this.#cancelBeat = this.#deps.clock.every(beatEveryMs, () => this.#pull());
  }

  async stop(): Promise<void> {
    this.#cancelBeat?.();
    await this.#pulling;
    this.membership.heartbeatFailed(new Error("Connection is closed."));
    await this.#deps.store.leave(this.#incarnation);
  }

  /** Has every living node carry the command out. Store errors as they come: then it is not known who did. */
  async command(command: ControlCommand): Promise<CommandOutcome> {
    const { id, asked } = await this.#deps.store.append(JSON.stringify(command));
    const deadline = this.#deps.clock.monotonic() + leaseMs + beatEveryMs;
    let answers = new Map<string, number>();
    while (asked.some((node) => !answers.has(node)) && this.#deps.clock.monotonic() < deadline) {
      await sleep(this.#deps.clock, lookEveryMs);
      answers = await this.#deps.store.acknowledgements(id);
    }
    return outcomeOf(asked, answers);
  }

  /** Begins to read what was given; where a reading is under way, one more follows it. */
  #pull(): void {
    if (this.#pulling !== undefined) {
      this.#mustPullAgain = true;
      return;
    }
    this.#pulling = this.#beat()
      .catch((error: unknown) => {
        this.#warn({ err: error }, "heartbeat failed");
        this.fence.failed(error);
        this.membership.heartbeatFailed(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(() => {
        this.#pulling = undefined;
        if (this.#mustPullAgain) this.#pull();
      });
  }

  async #beat(): Promise<void> {
    this.#mustPullAgain = false;
    const sentAt = this.#deps.clock.monotonic();
    const heartbeat = this.membership.heartbeatSent();
    const beat = await this.#deps.store.heartbeat(this.#incarnation, this.#followed, this.#hasBeaten);
    this.#deps.onTime?.(beat.time, sentAt, this.#deps.clock.monotonic());
    this.#hasBeaten = !beat.isExpired;
    this.#checkContinuity(beat, sentAt);
    for (const command of beat.commands) this.#carryOut(command);
    const wasAway = beat.isExpired || (this.#followed !== undefined && !this.fence.isOpen);
    this.#followed = beat.lastId;
    this.#followedAt = sentAt;
    this.membership.heartbeatDone(heartbeat, beat.leases, wasAway);
    if (beat.isExpired) this.#lapse();
    if (beat.isExpired || beat.commands.length === mostCommands) return void (this.#mustPullAgain = true);
    this.fence.renew(sentAt);
    for (const node of beat.dead) this.#bury(node);
  }

  /** Nothing is done under a name before its first heartbeat. */
  #lapse(): void {
    this.fence.close();
    this.#formerNames.add(this.#incarnation);
    this.#incarnation = incarnationOf(this.#deps);
  }

  #bury(node: string): void {
    if (this.#burying.has(node)) return;
    this.#burying.add(node);
    if (!this.#formerNames.has(node)) this.#deps.log.warn({ dead: node }, "node declared dead");
    this.#deps
      .onDead(node)
      .then(() => this.#deps.store.removeTombstone(node))
      .then(() => this.#formerNames.delete(node))
      .catch((error: unknown) =>
        this.#deps.log.warn({ dead: node, err: error }, "cleaning up after a dead node failed; retrying"),
      )
      .finally(() => this.#burying.delete(node));
  }

  /** Says so where this node cannot know all that was given since it last read. */
  #checkContinuity({ lastId }: Heartbeat, sentAt: number): void {
    if (this.#followed !== undefined && compareIds(lastId, this.#followed) < 0) {
      this.#deps.log.error(
        { lastId, followed: this.#followed },
        "Redis lost the control log; revocations issued in the meantime may be lost",
      );
    }
    if (sentAt - this.#followedAt > commandRetentionMs) this.#deps.onMissedCommands();
  }

  #carryOut({ id, json }: LoggedCommand): void {
    const command = parseCommand(json);
    if (command === undefined) return this.#warn({ id }, "ignored a malformed control command");
    const count = this.#deps.perform(command);
    this.#deps.store.acknowledge(id, this.#incarnation, count).catch((error: unknown) => {
      this.#warn({ id, type: command.type, err: error }, "acknowledging a control command failed");
    });
  }
}

const incarnationOf = ({ nodeId, clock }: ControlDeps): string =>
  `${nodeId}/${clock.now().toString(36)}-${randomUUID().slice(0, 8)}`;

/** As many as one heartbeat brings. */
const mostCommands = 1_000;

function outcomeOf(asked: readonly string[], answers: ReadonlyMap<string, number>): CommandOutcome {
  const counts = asked.map((node) => answers.get(node)).filter((count) => count !== undefined);
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

function compareIds(a: string, b: string): number {
  const [aTime = 0, aSequence = 0] = a.split("-").map(Number);
  const [bTime = 0, bSequence = 0] = b.split("-").map(Number);
  return aTime - bTime || aSequence - bSequence;
}
