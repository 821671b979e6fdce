import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { WorkerCommand, WorkerEvent, WorkerEventOf } from "../worker/messages.ts";

/** A checkout runs the sources; the published package contains compiled files. */
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const file = fileURLToPath(new URL(`../worker/worker-process.${extension}`, import.meta.url));

/** Max time for a worker to disconnect its clients. */
const timeoutMs = 3_000;

/** A worker process of the load generator, from the outside. */
export class GeneratorProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<WorkerEvent["type"], (word: WorkerEvent) => void>();
  readonly #onSecond: (word: WorkerEventOf<"second">) => void;
  #isStopping = false;
  /** Rejects if the process exits before it is stopped. */
  readonly failed: Promise<never>;

  constructor(onSecond: (word: WorkerEventOf<"second">) => void) {
    this.#onSecond = onSecond;
    // In its own process group: Ctrl-C ends the run, which still needs the results of its workers.
    this.#child = spawn(process.execPath, [file], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const lines = createInterface({ input: this.#child.stdout as NonNullable<ChildProcess["stdout"]> });
    lines.on("line", (line) => this.#received(JSON.parse(line) as WorkerEvent));
    this.failed = new Promise((_, reject) => {
      this.#child.once("exit", (code, signal) => {
        if (!this.#isStopping) reject(new Error(`a load generator process exited (${signal ?? code})`));
      });
    });
    // Callers that wait race it; there may be none.
    this.failed.catch(() => undefined);
    // A write after it exited; `failed` reports that.
    this.#child.stdin?.on("error", () => undefined);
  }

  send(instruction: WorkerCommand): void {
    this.#child.stdin?.write(`${JSON.stringify(instruction)}\n`);
  }

  /** Resolves to the next event of this type. */
  receive<Type extends WorkerEvent["type"]>(type: Type): Promise<WorkerEventOf<Type>> {
    const heard = new Promise<WorkerEvent>((resolve) => void this.#waiting.set(type, resolve));
    return Promise.race([heard as Promise<WorkerEventOf<Type>>, this.failed]);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    const force = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    await exit;
    clearTimeout(force);
  }

  #received(word: WorkerEvent): void {
    if (word.type === "second") return this.#onSecond(word);
    const resolve = this.#waiting.get(word.type);
    this.#waiting.delete(word.type);
    resolve?.(word);
  }
}
