import type { ChildProcess } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuMicros, ended, startOn } from "./machine.ts";
import { freshFolder } from "./native.ts";
import type { Subject } from "./subjects.ts";

/** How one publisher publishes: bursts at a pace, or as many as keep `window` under way; -1: at the pace whatever has arrived. */
export interface Pace {
  burst: number;
  burstsPerSecond: number;
  window: number;
}

/** What the clients of a subject say; `native/load.c` tells what the words mean. */
export interface Talk {
  mode: "ws" | "sio";
  /** JSON of each connection's CONNECT, the publisher's last. */
  auth?: readonly string[];
  subscribe?: string;
  head?: string;
  tail?: string;
  /** Of each publication's JSON. @default 128 */
  payloadBytes?: number;
  /** Largest TCP segment the readers take, as a network would have it. @default that of the loopback, 64 kB */
  segmentBytes?: number;
}

export interface Slice {
  published: number;
  delivered: number;
  missing: number;
  seconds: number;
  bytes: number;
  reads: number;
  p50: number;
  p99: number;
  p999: number;
  /** Microseconds of the server's CPU. */
  cpu: number;
}

/** A publisher and readers of one subject, connected for as long as the subject is measured. */
export class Load {
  readonly #subject: Subject;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(subject: Subject, process: ChildProcess) {
    this.#subject = subject;
    this.#process = process;
    this.#reader = createInterface({ input: process.stdout as NodeJS.ReadableStream });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async connect(program: string, subject: Subject, readers: number, talk: Talk): Promise<Load> {
    const { mode, auth, subscribe = "-", head = "", tail = "", payloadBytes = 128, segmentBytes = 0 } = talk;
    const file = auth === undefined ? "-" : join(freshFolder(), "auth");
    if (auth !== undefined) writeFileSync(file, `${auth.join("\n")}\n`);
    const counts = [payloadBytes, segmentBytes].map(String);
    const words = [program, mode, `${subject.port}`, `${readers}`, file, subscribe, head, tail, ...counts];
    const load = new Load(subject, startOn(1, words));
    await load.#answer();
    return load;
  }

  async slice({ burst, burstsPerSecond, window }: Pace, milliseconds: number): Promise<Slice> {
    const before = cpuMicros(this.#subject.pid);
    this.#process.stdin?.write(`slice ${burst} ${burstsPerSecond} ${window} ${milliseconds}\n`);
    const slice = await this.#answer();
    return { ...slice, cpu: cpuMicros(this.#subject.pid) - before };
  }

  /** From now on the readers read nothing; their connections stay. */
  async stall(): Promise<void> {
    this.#process.stdin?.write("stall\n");
    await this.#answer();
  }

  async stop(): Promise<void> {
    this.#reader.close();
    await ended(this.#process);
  }

  async #answer(): Promise<Slice> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the load of ${this.#subject.name} has ended`);
    return JSON.parse(value) as Slice;
  }
}
