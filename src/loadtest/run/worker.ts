import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Instruction, Word, WordOf } from "../worker/messages.ts";

/** Node runs the source as it is; what is published is compiled. */
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const file = fileURLToPath(new URL(`../worker/worker-process.${extension}`, import.meta.url));

/** How long a worker may take to say goodbye to everybody. */
const patienceMs = 3_000;

/** A worker process as the lab sees it. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<Word["type"], (word: Word) => void>();
  readonly #onSecond: (word: WordOf<"second">) => void;
  #isStopping = false;
  /** Rejects when it ends before it is stopped. */
  readonly failed: Promise<never>;

  constructor(onSecond: (word: WordOf<"second">) => void) {
    this.#onSecond = onSecond;
    // In a group of its own: Ctrl-C at the terminal is for the lab, which still wants to hear what its workers saw.
    this.#child = spawn(process.execPath, [file], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const lines = createInterface({ input: this.#child.stdout as NonNullable<ChildProcess["stdout"]> });
    lines.on("line", (line) => this.#hear(JSON.parse(line) as Word));
    this.failed = new Promise((_, reject) => {
      this.#child.once("exit", (code, signal) => {
        if (!this.#isStopping) reject(new Error(`a load generator process exited (${signal ?? code})`));
      });
    });
    // Whoever waits for something races it; nobody may be waiting.
    this.failed.catch(() => undefined);
    // Written to after it ended: `failed` tells.
    this.#child.stdin?.on("error", () => undefined);
  }

  tell(instruction: Instruction): void {
    this.#child.stdin?.write(`${JSON.stringify(instruction)}\n`);
  }

  /** The next word of this type. */
  hear<Type extends Word["type"]>(type: Type): Promise<WordOf<Type>> {
    const heard = new Promise<Word>((resolve) => void this.#waiting.set(type, resolve));
    return Promise.race([heard as Promise<WordOf<Type>>, this.failed]);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    const force = setTimeout(() => this.#child.kill("SIGKILL"), patienceMs);
    await exit;
    clearTimeout(force);
  }

  #hear(word: Word): void {
    if (word.type === "second") return this.#onSecond(word);
    const resolve = this.#waiting.get(word.type);
    this.#waiting.delete(word.type);
    resolve?.(word);
  }
}
