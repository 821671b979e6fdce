import cluster from "node:cluster";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Handle } from "../engine/siblings/handover.ts";
import { Member, type Ending } from "./member.ts";
import { mergeMetrics } from "./merge-metrics.ts";
import type { Assignment } from "./messages.ts";

export interface CrewDeps {
  /** What worker `number` is to be. */
  assignmentOf(number: number): Assignment;
  /** Metrics of the primary process. */
  metrics(): Promise<string>;
  /** A worker has ended without being asked to. */
  onLost(): void;
  clock: Clock;
  log: Logger;
}

export interface CrewOptions {
  count: number;
  /** What a worker may take to drain. */
  drainTimeoutMs: number;
}

/** A worker that lives shorter than this ended at once. */
const steadyMs = 10_000;
/** So many at once, one after the other, and it is given up. */
const mostQuickEnds = 5;
const firstDelayMs = 50;

/** A worker that does not answer for so long is stuck, and its clients with it. */
const mostSilentMs = 30_000;
const pingEveryMs = 5_000;

/** What a worker has beyond its own deadline to end. */
export const graceMs = 3_000;

/** Why the workers could not be kept up. */
export class WorkersFailed extends Error {
  readonly exitCode: number;
  /** The worker has said itself what was wrong, and need not be explained. */
  readonly hasComplained: boolean;

  constructor(number: number, { code, signal }: Ending, ends: number) {
    const times = ends > 1 ? `${ends} times in a row shortly after it started` : "while it started";
    super(`worker ${number} exited ${times} (${code === null ? `signal ${signal}` : `exit code ${code}`})`);
    this.exitCode = code === null || code === 0 ? 1 : code;
    this.hasComplained = ends <= 1 && code !== null && code !== 0;
  }
}

/** Keeps workers up: each that ends is replaced, until all are drained, or one can't be kept up. */
export class Crew {
  readonly #deps: CrewDeps;
  readonly #options: CrewOptions;
  readonly #members = new Map<number, Member>();
  readonly #leaving = new AbortController();
  /** Resolves when a worker could not be kept up. */
  readonly failed: Promise<Error>;
  #fail!: (reason: Error) => void;
  #collecting: Promise<string> | undefined;
  #cancelPings: Cancel | undefined;

  constructor(deps: CrewDeps, options: CrewOptions) {
    this.#deps = deps;
    this.#options = options;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
    cluster.setupPrimary({ serialization: "advanced" });
  }

  /** How many take connections. */
  get running(): number {
    return this.#all().filter(({ isReady }) => isReady).length;
  }

  /** Resolves when all are up; where one does not come up, none stays. */
  async start(): Promise<void> {
    this.#cancelPings = this.#deps.clock.every(pingEveryMs, () => this.#ping());
    try {
      // One first: what hinders it hinders all, and is then said once.
      await this.#begin(1);
      const others = Array.from({ length: this.#options.count - 1 }, (_, index) => index + 2);
      await Promise.all(others.map((number) => this.#begin(number)));
    } catch (error) {
      await this.#drain();
      throw error;
    }
  }

  /** Drains all; rejects where one did not end in time, or not as it should. */
  async stop(): Promise<void> {
    const endings = await this.#drain();
    const failed = endings.filter(({ code }) => code !== 0);
    if (failed.length > 0) throw new Error(`${failed.length} of ${endings.length} workers did not drain`);
  }

  async #drain(): Promise<Ending[]> {
    const { clock } = this.#deps;
    this.#leaving.abort();
    const members = this.#all();
    for (const member of members) member.order({ type: "drain" });
    const cancel = clock.after(this.#options.drainTimeoutMs + graceMs, () =>
      members.forEach((member) => member.kill()),
    );
    const endings = await Promise.all(members.map(({ ended }) => ended));
    cancel();
    this.#cancelPings?.();
    return endings;
  }

  /** Of all, in Prometheus' text format. Whoever asks at the same time gets the same. */
  metrics(): Promise<string> {
    return (this.#collecting ??= this.#collect().finally(() => (this.#collecting = undefined)));
  }

  async #collect(): Promise<string> {
    const texts = [this.#deps.metrics(), ...this.#all().map((member) => member.collect())];
    return mergeMetrics((await Promise.all(texts)).filter((text) => text !== undefined));
  }

  #all(): Member[] {
    return [...this.#members.values()];
  }

  /** Resolves when worker `number` is up, and keeps it so from then on. */
  async #begin(number: number): Promise<void> {
    const { promise: isUp, resolve } = Promise.withResolvers<"up">();
    const member = this.#hire(number, () => resolve("up"));
    const first = await Promise.race([isUp, member.ended]);
    if (first === "up") return void this.#keep(member).catch(this.#fail);
    this.#members.delete(number);
    throw new WorkersFailed(number, first, 1);
  }

  /** Resolves when there is nobody to replace any more; rejects where that is of no use. */
  async #keep(first: Member): Promise<void> {
    const { signal } = this.#leaving;
    for (let [member, quickEnds] = [first, 0]; ; member = this.#hire(member.number)) {
      const ending = await member.ended;
      if (signal.aborted) return;
      quickEnds = member.ageMs < steadyMs ? quickEnds + 1 : 0;
      this.#lost(member, ending);
      if (quickEnds >= mostQuickEnds) throw new WorkersFailed(member.number, ending, quickEnds);
      await sleep(this.#deps.clock, firstDelayMs * 2 ** quickEnds, signal);
      if (signal.aborted) return;
    }
  }

  #lost(member: Member, ending: Ending): void {
    const { log, onLost } = this.#deps;
    this.#members.delete(member.number);
    onLost();
    const fields = { worker: member.number, pid: member.pid, ...ending };
    // Somebody has drained it, to have a fresh one.
    if (ending.code === 0) log.info(fields, "worker exited; starting a replacement");
    else log.error(fields, "worker crashed; starting a replacement");
    this.#tellRunning();
  }

  #hire(number: number, onUp?: () => void): Member {
    const { clock, log, assignmentOf } = this.#deps;
    const hooks = {
      onReady: () => {
        log.info({ worker: number, pid: member.pid }, "worker started");
        this.#tellRunning();
        onUp?.();
      },
      metrics: () => this.metrics(),
      passLine: (to: number, handle: Handle, read: Uint8Array) => this.#passLine(to, handle, read),
    };
    const member = new Member(assignmentOf(number), hooks, clock);
    this.#members.set(number, member);
    return member;
  }

  #passLine(to: number, handle: Handle, read: Uint8Array): void {
    const member = this.#members.get(to);
    if (member === undefined) handle.close();
    else member.giveLine(handle, read);
  }

  #tellRunning(): void {
    const count = this.running;
    for (const member of this.#members.values()) member.order({ type: "running", count });
  }

  #ping(): void {
    for (const member of this.#members.values()) {
      if (member.silentMs < mostSilentMs) member.order({ type: "ping" });
      else this.#giveUp(member);
    }
  }

  #giveUp(member: Member): void {
    this.#deps.log.error(
      { worker: member.number, silentMs: Math.round(member.silentMs) },
      "worker is unresponsive; killing it",
    );
    member.kill();
  }
}
