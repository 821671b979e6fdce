import cluster from "node:cluster";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { NetHandle } from "../runtime/net-handle.ts";
import { WorkerProcess, type WorkerExit } from "./worker-process.ts";
import { mergeMetrics } from "./merge-metrics.ts";
import type { Assignment } from "./messages.ts";

export interface SupervisorDeps {
  /** The assignment of worker `number`. */
  assignmentOf(number: number): Assignment;
  /** Metrics of the primary process. */
  metrics(): Promise<string>;
  /** Called when a worker has exited unexpectedly. */
  onCrash(): void;
  clock: Clock;
  log: Logger;
}

export interface SupervisorOptions {
  count: number;
  /** Max duration of a worker's drain. */
  drainTimeoutMs: number;
}

/** A worker that exits sooner after its start counts as a quick exit. */
const minStableMs = 10_000;
/** Consecutive quick exits after which the supervisor gives up. */
const maxQuickExits = 5;
const firstDelayMs = 50;

const pingEveryMs = 5_000;
/** A worker that leaves this many pings unanswered is killed: after 30 s. */
const maxUnansweredPings = 6;

/** Time for a worker to exit after its own deadline. */
export const graceMs = 3_000;

/** A worker could not be started or kept running. */
export class WorkerFailed extends Error {
  readonly exitCode: number;
  /** The worker has already reported the reason itself. */
  readonly isReported: boolean;

  constructor(number: number, { code, signal }: WorkerExit, ends: number) {
    const times = ends > 1 ? `${ends} times in a row shortly after it started` : "while it started";
    super(`worker ${number} exited ${times} (${code === null ? `signal ${signal}` : `exit code ${code}`})`);
    this.exitCode = code === null || code === 0 ? 1 : code;
    this.isReported = ends <= 1 && code !== null && code !== 0;
  }
}

/** Keeps workers running: each that exits is replaced, until all are drained or one fails repeatedly. */
export class Supervisor {
  readonly #deps: SupervisorDeps;
  readonly #options: SupervisorOptions;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #stopping = new AbortController();
  /** Resolves when a worker could not be kept running. */
  readonly failed: Promise<Error>;
  #fail!: (reason: Error) => void;
  #collecting: Promise<string> | undefined;
  #cancelPings: Cancel | undefined;

  constructor(deps: SupervisorDeps, options: SupervisorOptions) {
    this.#deps = deps;
    this.#options = options;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
    cluster.setupPrimary({ serialization: "advanced" });
  }

  /** Number of workers that accept connections. */
  get running(): number {
    return this.#all().filter(({ isReady }) => isReady).length;
  }

  /** Resolves when all workers accept connections. If one fails to start, all are stopped. */
  async start(): Promise<void> {
    this.#cancelPings = this.#deps.clock.every(pingEveryMs, () => this.#ping());
    try {
      // One first: a problem that affects all is then reported once.
      await this.#startWorker(1);
      const others = Array.from({ length: this.#options.count - 1 }, (_, index) => index + 2);
      await Promise.all(others.map((number) => this.#startWorker(number)));
    } catch (error) {
      await this.#drain();
      throw error;
    }
  }

  /** Drains all workers; rejects if one did not exit cleanly in time. */
  async stop(): Promise<void> {
    const exits = await this.#drain();
    const failed = exits.filter(({ code }) => code !== 0);
    if (failed.length > 0) throw new Error(`${failed.length} of ${exits.length} workers did not drain`);
  }

  async #drain(): Promise<WorkerExit[]> {
    const { clock } = this.#deps;
    this.#stopping.abort();
    const workers = this.#all();
    for (const worker of workers) worker.send({ type: "drain" });
    const cancel = clock.after(this.#options.drainTimeoutMs + graceMs, () =>
      workers.forEach((worker) => worker.kill()),
    );
    const exits = await Promise.all(workers.map(({ exited: ended }) => ended));
    cancel();
    this.#cancelPings?.();
    return exits;
  }

  /** Metrics of all processes in Prometheus' text format. Concurrent calls share one collection. */
  metrics(): Promise<string> {
    return (this.#collecting ??= this.#collect().finally(() => (this.#collecting = undefined)));
  }

  async #collect(): Promise<string> {
    const texts = [this.#deps.metrics(), ...this.#all().map((worker) => worker.collect())];
    return mergeMetrics((await Promise.all(texts)).filter((text) => text !== undefined));
  }

  #all(): WorkerProcess[] {
    return [...this.#workers.values()];
  }

  /**
   * Resolves when worker `number` accepts connections; from then on it is supervised. One that exits by itself reports a
   * problem that a replacement would share; one that a signal ended, as when memory was short, is replaced.
   */
  async #startWorker(number: number): Promise<void> {
    for (let attempts = 1; ; attempts++) {
      const { promise: isUp, resolve } = Promise.withResolvers<"up">();
      const worker = this.#spawn(number, () => resolve("up"));
      const first = await Promise.race([isUp, worker.exited]);
      if (first === "up") return void this.#supervise(worker).catch(this.#fail);
      this.#workers.delete(number);
      if (first.signal === null || attempts === maxQuickExits) throw new WorkerFailed(number, first, attempts);
      this.#handleCrash(worker, first);
      await sleep(this.#deps.clock, firstDelayMs * 2 ** attempts, this.#stopping.signal);
    }
  }

  /** Replaces the worker whenever it exits. Resolves on stop; rejects if it keeps exiting quickly. */
  async #supervise(first: WorkerProcess): Promise<void> {
    const { signal } = this.#stopping;
    for (let [worker, quickExits] = [first, 0]; ; worker = this.#spawn(worker.number)) {
      const exit = await worker.exited;
      if (signal.aborted) return;
      quickExits = worker.ageMs < minStableMs ? quickExits + 1 : 0;
      this.#handleCrash(worker, exit);
      if (quickExits >= maxQuickExits) throw new WorkerFailed(worker.number, exit, quickExits);
      await sleep(this.#deps.clock, firstDelayMs * 2 ** quickExits, signal);
      if (signal.aborted) return;
    }
  }

  #handleCrash(worker: WorkerProcess, exit: WorkerExit): void {
    const { log, onCrash: onLost } = this.#deps;
    this.#workers.delete(worker.number);
    onLost();
    const fields = { worker: worker.number, pid: worker.pid, ...exit };
    // Somebody drained it to have it replaced.
    if (exit.code === 0) log.info(fields, "worker exited; starting a replacement");
    else log.error(fields, "worker crashed; starting a replacement");
    this.#broadcastRunning();
  }

  #spawn(number: number, onUp?: () => void): WorkerProcess {
    const { clock, log, assignmentOf } = this.#deps;
    const hooks = {
      onReady: () => {
        log.info({ worker: number, pid: worker.pid }, "worker started");
        this.#broadcastRunning();
        onUp?.();
      },
      metrics: () => this.metrics(),
      passSocket: (to: number, handle: NetHandle, read: Uint8Array) => this.#passSocket(to, handle, read),
    };
    const worker = new WorkerProcess(assignmentOf(number), hooks, clock);
    this.#workers.set(number, worker);
    return worker;
  }

  #passSocket(to: number, handle: NetHandle, read: Uint8Array): void {
    const worker = this.#workers.get(to);
    if (worker === undefined) handle.close();
    else worker.giveSocket(handle, read);
  }

  #broadcastRunning(): void {
    const count = this.running;
    for (const worker of this.#workers.values()) worker.send({ type: "running", count });
  }

  #ping(): void {
    for (const worker of this.#workers.values()) {
      if (worker.unansweredPings < maxUnansweredPings) worker.ping();
      else this.#killUnresponsive(worker);
    }
  }

  #killUnresponsive(worker: WorkerProcess): void {
    this.#deps.log.error(
      { worker: worker.number, silentMs: Math.round(worker.silentMs) },
      "worker is unresponsive; killing it",
    );
    worker.kill();
  }
}
