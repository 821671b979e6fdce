import type { ChildProcess } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuMicros, ended, startOn } from "./machine.ts";
import { freshFolder } from "./native.ts";
import type { MeasuredServer } from "./measured-servers.ts";

/** Bursts at a rate, or as many as keep `window` in flight; -1: at the rate, whatever has arrived. */
export interface PublishRate {
  burst: number;
  burstsPerSecond: number;
  window: number;
}

/** What the clients of a server say; `native/load.c` tells what the words mean. */
export interface ClientScript {
  mode: "ws" | "sio";
  /** CONNECT payload of each connection as JSON; the publisher's is last. */
  auth?: readonly string[];
  subscribe?: string;
  head?: string;
  tail?: string;
  /** Size of each publication's JSON. @default 128 */
  payloadBytes?: number;
  /** Max TCP segment of the readers, as on a network. @default the loopback's, 64 kB */
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

/** A publisher and readers of one server, connected for as long as the server is measured. */
export class Load {
  readonly #server: MeasuredServer;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(server: MeasuredServer, process: ChildProcess) {
    this.#server = server;
    this.#process = process;
    this.#reader = createInterface({ input: process.stdout as NodeJS.ReadableStream });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async connect(program: string, server: MeasuredServer, readers: number, script: ClientScript): Promise<Load> {
    const { mode, auth, subscribe = "-", head = "", tail = "", payloadBytes = 128, segmentBytes = 0 } = script;
    const file = auth === undefined ? "-" : join(freshFolder(), "auth");
    if (auth !== undefined) writeFileSync(file, `${auth.join("\n")}\n`);
    const counts = [payloadBytes, segmentBytes].map(String);
    const words = [program, mode, `${server.port}`, `${readers}`, file, subscribe, head, tail, ...counts];
    const load = new Load(server, startOn(1, words));
    await load.#answer();
    return load;
  }

  async slice({ burst, burstsPerSecond, window }: PublishRate, milliseconds: number): Promise<Slice> {
    const before = cpuMicros(this.#server.pid);
    this.#process.stdin?.write(`slice ${burst} ${burstsPerSecond} ${window} ${milliseconds}\n`);
    const slice = await this.#answer();
    return { ...slice, cpu: cpuMicros(this.#server.pid) - before };
  }

  /** Stops the readers from reading; their connections stay open. */
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
    if (done === true) throw new Error(`the load of ${this.#server.name} has ended`);
    return JSON.parse(value) as Slice;
  }
}
