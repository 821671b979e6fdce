import cluster, { type Worker } from "node:cluster";
import type { Clock } from "../runtime/clock.ts";
import type { NetHandle } from "../runtime/net-handle.ts";
import type { Assignment, MessageToWorker, MessageFromWorker } from "./messages.ts";
import { PendingReplies } from "./pending-replies.ts";
import { workerVariable } from "./primary-link.ts";

/** How a worker process exited. */
export interface WorkerExit {
  code: number | null;
  signal: string | null;
}

/** Called on messages of the worker. */
export interface WorkerProcessHooks {
  onReady(): void;
  metrics(): Promise<string>;
  passSocket(to: number, handle: NetHandle, read: Uint8Array): void;
}

const collectTimeoutMs = 1_000;
/** Max sockets being transferred to one worker; a further one is closed. */
const maxSocketsInTransit = 1_000;

/** A worker process as seen by the primary process. The constructor starts it. */
export class WorkerProcess {
  readonly number: number;
  readonly exited: Promise<WorkerExit>;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #hooks: WorkerProcessHooks;
  readonly #replies: PendingReplies;
  readonly #startedAt: number;
  #isReady = false;
  #lastMessageAt: number;
  #unansweredPings = 0;
  #socketsInTransit = 0;

  constructor(assignment: Assignment, hooks: WorkerProcessHooks, clock: Clock) {
    this.number = assignment.worker;
    this.#hooks = hooks;
    this.#clock = clock;
    this.#replies = new PendingReplies(clock, collectTimeoutMs);
    this.#startedAt = this.#lastMessageAt = clock.monotonic();
    this.#worker = cluster.fork({ [workerVariable]: `${assignment.worker}` });
    this.#worker.on("message", (message: MessageFromWorker, handle: unknown) => this.#receive(message, handle));
    this.exited = this.#waitForExit();
    this.send({ type: "begin", assignment });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Milliseconds since its start. */
  get ageMs(): number {
    return this.#clock.monotonic() - this.#startedAt;
  }

  /** Milliseconds since its last message. */
  get silentMs(): number {
    return this.#clock.monotonic() - this.#lastMessageAt;
  }

  /** Pings since its last message. None are sent while the primary process itself is stopped. */
  get unansweredPings(): number {
    return this.#unansweredPings;
  }

  ping(): void {
    this.#unansweredPings++;
    this.send({ type: "ping" });
  }

  send(message: MessageToWorker): void {
    // It may exit at any moment; `exited` reports that.
    if (this.#worker.isConnected()) this.#worker.send(message, () => undefined);
  }

  /** Its own metrics; undefined if it does not respond in time. */
  collect(): Promise<string | undefined> {
    return this.#replies.request((id) => this.send({ type: "collect", id }));
  }

  giveSocket(handle: NetHandle, read: Uint8Array): void {
    if (this.#socketsInTransit >= maxSocketsInTransit || !this.#worker.isConnected()) return handle.close();
    this.#socketsInTransit++;
    const message: MessageToWorker = { type: "line", read };
    this.#worker.send(message, handle as never, () => {
      this.#socketsInTransit--;
      handle.close();
    });
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  async #waitForExit(): Promise<WorkerExit> {
    const ending = await new Promise<WorkerExit>((resolve) => {
      this.#worker.once("exit", (code: number | null, signal: string | null) => resolve({ code, signal }));
      // It could not be started and will not emit `exit`; other errors are passed to the caller of `send`.
      this.#worker.on("error", () => this.pid === undefined && resolve({ code: null, signal: null }));
    });
    this.#isReady = false;
    return ending;
  }

  #receive(message: MessageFromWorker, handle: unknown): void {
    this.#lastMessageAt = this.#clock.monotonic();
    this.#unansweredPings = 0;
    if (message.type === "ready") this.#becomeReady();
    else if (message.type === "collected") this.#replies.resolve(message.id, message.text);
    else if (message.type === "metrics") void this.#sendMetrics(message.id);
    else if (message.type === "line") this.#hooks.passSocket(message.to, handle as NetHandle, message.read);
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#hooks.onReady();
  }

  async #sendMetrics(id: number): Promise<void> {
    this.send({ type: "metrics", id, text: await this.#hooks.metrics() });
  }
}
