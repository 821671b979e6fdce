import cluster, { type Worker } from "node:cluster";
import type { Clock } from "../runtime/clock.ts";
import type { Handle } from "../engine/siblings/handover.ts";
import type { Assignment, Order, Report } from "./messages.ts";
import { Questions } from "./questions.ts";
import { workerVariable } from "./worker-place.ts";

/** How a worker ended. */
export interface Ending {
  code: number | null;
  signal: string | null;
}

/** What a worker may ask of the rest. */
export interface MemberHooks {
  onReady(): void;
  metrics(): Promise<string>;
  passLine(to: number, handle: Handle, read: Uint8Array): void;
}

const collectPatienceMs = 1_000;
/** Lines on their way to one worker; one more is closed. */
const mostLines = 1_000;

/** One worker, as the primary process sees it: begun here, and done with when it has ended. */
export class Member {
  readonly number: number;
  readonly ended: Promise<Ending>;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #hooks: MemberHooks;
  readonly #questions: Questions;
  readonly #begunAt: number;
  #isReady = false;
  #heardAt: number;
  #lines = 0;

  constructor(assignment: Assignment, hooks: MemberHooks, clock: Clock) {
    this.number = assignment.worker;
    this.#hooks = hooks;
    this.#clock = clock;
    this.#questions = new Questions(clock, collectPatienceMs);
    this.#begunAt = this.#heardAt = clock.monotonic();
    this.#worker = cluster.fork({ [workerVariable]: `${assignment.worker}` });
    this.#worker.on("message", (report: Report, handle: unknown) => this.#hear(report, handle));
    this.ended = this.#untilEnded();
    this.order({ type: "begin", assignment });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Since its start. */
  get ageMs(): number {
    return this.#clock.monotonic() - this.#begunAt;
  }

  /** For how long nothing has been heard of it. */
  get silentMs(): number {
    return this.#clock.monotonic() - this.#heardAt;
  }

  order(order: Order): void {
    // It may end at any moment; that it has is told elsewhere.
    if (this.#worker.isConnected()) this.#worker.send(order, () => undefined);
  }

  /** Its own metrics; undefined where it does not tell in time. */
  collect(): Promise<string | undefined> {
    return this.#questions.ask((id) => this.order({ type: "collect", id }));
  }

  giveLine(handle: Handle, read: Uint8Array): void {
    if (this.#lines >= mostLines || !this.#worker.isConnected()) return handle.close();
    this.#lines++;
    const order: Order = { type: "line", read };
    this.#worker.send(order, handle as never, () => {
      this.#lines--;
      handle.close();
    });
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  async #untilEnded(): Promise<Ending> {
    const ending = await new Promise<Ending>((resolve) => {
      this.#worker.once("exit", (code: number | null, signal: string | null) => resolve({ code, signal }));
      // It could not be started, and will not end then; any other error is told to whoever caused it.
      this.#worker.on("error", () => this.pid === undefined && resolve({ code: null, signal: null }));
    });
    this.#isReady = false;
    return ending;
  }

  #hear(report: Report, handle: unknown): void {
    this.#heardAt = this.#clock.monotonic();
    if (report.type === "ready") this.#becomeReady();
    else if (report.type === "collected") this.#questions.answer(report.id, report.text);
    else if (report.type === "metrics") void this.#tellMetrics(report.id);
    else if (report.type === "line") this.#hooks.passLine(report.to, handle as Handle, report.read);
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#hooks.onReady();
  }

  async #tellMetrics(id: number): Promise<void> {
    this.order({ type: "metrics", id, text: await this.#hooks.metrics() });
  }
}
