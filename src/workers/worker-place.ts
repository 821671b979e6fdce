import cluster, { type Worker } from "node:cluster";
import { rmSync } from "node:fs";
import { Registry } from "prom-client";
import type { Place } from "../gateway/place.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Handle } from "../engine/siblings/handover.ts";
import type { Assignment, Order, Report } from "./messages.ts";
import { Questions } from "./questions.ts";

/** Set in workers of ours, and not in those of a process manager that runs the whole program as its worker. */
export const workerVariable = "TIDEGATE_WORKER";

export const isWorker = (env: Readonly<Record<string, string | undefined>>): boolean =>
  cluster.isWorker && env[workerVariable] !== undefined;

/** Longer than the primary process waits for the other workers. */
const metricsPatienceMs = 3_000;

/**
 * A worker's side of its line to the primary process. Where that one is gone, Node's cluster ends the worker at once, and
 * no worker is left behind without anybody who would drain or replace it; its clients come back as from any node that
 * was killed.
 */
export class WorkerPlace implements Place {
  readonly worker: number;
  readonly count: number;
  readonly folder: string;
  readonly config: Assignment["config"];
  readonly metrics: Place["metrics"];
  /** Resolves when the worker is to drain. */
  readonly toDrain: Promise<void>;
  readonly #primary: Worker;
  readonly #questions: Questions;
  #running = 0;
  #asking: Promise<string> | undefined;
  #collect: () => Promise<string> = () => Promise.resolve("");
  #onLine: Parameters<Place["onLine"]>[0] | undefined;
  #drain!: () => void;

  /** Resolves when the primary process has said what this worker is to be. */
  static take(clock: Clock): Promise<WorkerPlace> {
    const { worker } = cluster;
    if (worker === undefined) throw new Error("This process is not a worker.");
    return new Promise((resolve) => {
      // It listens from this very message on: what follows it may be there already.
      worker.once("message", (order: Order) => {
        if (order.type === "begin") resolve(new WorkerPlace(worker, order.assignment, clock));
      });
    });
  }

  private constructor(primary: Worker, { worker, count, folder, config }: Assignment, clock: Clock) {
    this.#primary = primary;
    this.worker = worker;
    this.count = count;
    this.folder = folder;
    this.config = config;
    this.#questions = new Questions(clock, metricsPatienceMs);
    this.metrics = { contentType: Registry.PROMETHEUS_CONTENT_TYPE, metrics: () => this.#metricsOfAll() };
    this.toDrain = new Promise((resolve) => (this.#drain = resolve));
    primary.on("message", (order: Order, handle: unknown) => this.#follow(order, handle));
    primary.on("disconnect", () => rmSync(folder, { recursive: true, force: true }));
  }

  /** The node takes connections; `collect` tells its metrics. */
  ready(collect: () => Promise<string>): void {
    this.#collect = collect;
    this.#report({ type: "ready" });
  }

  running(): number {
    return this.#running;
  }

  onLine(listener: Parameters<Place["onLine"]>[0]): void {
    this.#onLine = listener;
  }

  passLine(to: number, handle: Handle, read: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const report: Report = { type: "line", to, read };
      this.#primary.send(report, handle as never, (error: Error | null) => {
        handle.close();
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  #follow(order: Order, handle: unknown): void {
    if (order.type === "drain") this.#drain();
    else if (order.type === "running") this.#running = order.count;
    else if (order.type === "ping") this.#report({ type: "pong" });
    else if (order.type === "metrics") this.#questions.answer(order.id, order.text);
    else if (order.type === "collect") void this.#tellMetrics(order.id);
    else if (order.type === "line") this.#takeLine(handle, order.read);
  }

  async #tellMetrics(id: number): Promise<void> {
    // A registry that fails has nothing to tell; the others have.
    const text = await this.#collect().catch(() => "");
    this.#report({ type: "collected", id, text });
  }

  /** Whoever asks at the same time gets the same. */
  #metricsOfAll(): Promise<string> {
    return (this.#asking ??= this.#askForMetrics().finally(() => (this.#asking = undefined)));
  }

  async #askForMetrics(): Promise<string> {
    const text = await this.#questions.ask((id) => this.#report({ type: "metrics", id }));
    return text ?? this.#collect();
  }

  #takeLine(handle: unknown, read: Uint8Array): void {
    if (this.#onLine !== undefined) this.#onLine(handle, read);
    else (handle as Handle).close();
  }

  #report(report: Report): void {
    // Where the primary process is gone, so is this one in a moment.
    this.#primary.send(report, () => undefined);
  }
}
