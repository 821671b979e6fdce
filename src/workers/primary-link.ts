import cluster, { type Worker } from "node:cluster";
import { rmSync } from "node:fs";
import { Registry } from "prom-client";
import type { WorkerContext } from "../gateway/worker-context.ts";
import type { Clock } from "../runtime/clock.ts";
import type { NetHandle } from "../runtime/net-handle.ts";
import type { Assignment, MessageToWorker, MessageFromWorker } from "./messages.ts";
import { PendingReplies } from "./pending-replies.ts";

/** Distinguishes our workers from those of a process manager that runs the whole program as its worker. */
export const workerVariable = "TIDEGATE_WORKER";

export const isWorker = (env: Readonly<Record<string, string | undefined>>): boolean =>
  cluster.isWorker && env[workerVariable] !== undefined;

/** Longer than the primary process waits for the other workers. */
const metricsTimeoutMs = 3_000;

/**
 * A worker's side of the IPC channel to the primary process. If the primary process is gone, Node's cluster module ends
 * the worker at once, so no unsupervised worker remains; its clients reconnect as after a crash of any node.
 */
export class PrimaryLink implements WorkerContext {
  readonly worker: number;
  readonly count: number;
  readonly folder: string;
  readonly config: Assignment["config"];
  readonly metrics: WorkerContext["metrics"];
  /** Resolves when the worker shall drain. */
  readonly drainRequested: Promise<void>;
  readonly #primary: Worker;
  readonly #replies: PendingReplies;
  #running = 0;
  #pendingMetrics: Promise<string> | undefined;
  #collect: () => Promise<string> = () => Promise.resolve("");
  #onSocket: Parameters<WorkerContext["onSocket"]>[0] | undefined;
  #drain!: () => void;

  /** Resolves when the primary process has sent the assignment. */
  static connect(clock: Clock): Promise<PrimaryLink> {
    const { worker } = cluster;
    if (worker === undefined) throw new Error("This process is not a worker.");
    return new Promise((resolve) => {
      // Starts listening within this event, because further messages may already be queued.
      worker.once("message", (message: MessageToWorker) => {
        if (message.type === "begin") resolve(new PrimaryLink(worker, message.assignment, clock));
      });
    });
  }

  private constructor(primary: Worker, { worker, count, folder, config }: Assignment, clock: Clock) {
    this.#primary = primary;
    this.worker = worker;
    this.count = count;
    this.folder = folder;
    this.config = config;
    this.#replies = new PendingReplies(clock, metricsTimeoutMs);
    this.metrics = { contentType: Registry.PROMETHEUS_CONTENT_TYPE, metrics: () => this.#metricsOfAll() };
    this.drainRequested = new Promise((resolve) => (this.#drain = resolve));
    primary.on("message", (message: MessageToWorker, handle: unknown) => this.#receive(message, handle));
    primary.on("disconnect", () => rmSync(folder, { recursive: true, force: true }));
  }

  /** Call when the node accepts connections; `collect` returns its metrics. */
  ready(collect: () => Promise<string>): void {
    this.#collect = collect;
    this.#message({ type: "ready" });
  }

  running(): number {
    return this.#running;
  }

  onSocket(listener: Parameters<WorkerContext["onSocket"]>[0]): void {
    this.#onSocket = listener;
  }

  handOffSocket(to: number, handle: NetHandle, read: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const message: MessageFromWorker = { type: "line", to, read };
      this.#primary.send(message, handle as never, (error: Error | null) => {
        handle.close();
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  #receive(message: MessageToWorker, handle: unknown): void {
    if (message.type === "drain") this.#drain();
    else if (message.type === "running") this.#running = message.count;
    else if (message.type === "ping") this.#message({ type: "pong" });
    else if (message.type === "metrics") this.#replies.resolve(message.id, message.text);
    else if (message.type === "collect") void this.#sendMetrics(message.id);
    else if (message.type === "line") this.#acceptSocket(handle, message.read);
  }

  async #sendMetrics(id: number): Promise<void> {
    // If this registry fails, the other processes' metrics are still served.
    const text = await this.#collect().catch(() => "");
    this.#message({ type: "collected", id, text });
  }

  /** Concurrent calls share one request. */
  #metricsOfAll(): Promise<string> {
    return (this.#pendingMetrics ??= this.#requestMetrics().finally(() => (this.#pendingMetrics = undefined)));
  }

  async #requestMetrics(): Promise<string> {
    const text = await this.#replies.request((id) => this.#message({ type: "metrics", id }));
    return text ?? this.#collect();
  }

  #acceptSocket(handle: unknown, read: Uint8Array): void {
    if (this.#onSocket !== undefined) this.#onSocket(handle, read);
    else (handle as NetHandle).close();
  }

  #message(message: MessageFromWorker): void {
    // An error means that the primary process is gone, which ends this process too.
    this.#primary.send(message, () => undefined);
  }
}
