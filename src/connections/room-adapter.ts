import { createAdapter } from "@socket.io/redis-adapter";
import type { ServerOptions } from "socket.io";
import { HeldMessages } from "../channels/held-messages.ts";
import type { Fence } from "../cluster/fence.ts";
import { parseJson } from "../protocol/gate.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { createAdapterParser, maxAdapterBytes, type AdapterParser } from "./adapter-parser.ts";
import { isControlRequest, isControlResponse } from "./control-message.ts";
import type { Failures } from "./failures.ts";

export interface RoomAdapterDeps {
  publisher: RedisClient;
  subscriber: RedisClient;
  /** While it is closed nothing is passed on to clients. */
  fence: Pick<Fence, "isOpen" | "opened">;
  failures: Failures;
  log: Logger;
}

/** Looks at what came over Redis before the adapter does, and tells the log what it refused. */
interface Gatekeeper {
  parser: AdapterParser;
  refuse(reason: string): void;
}

export interface RoomAdapterOptions {
  /** Prefix of the Redis channels. @default "socket.io", where an unmodified emitter publishes */
  key?: string | undefined;
  /** Milliseconds to wait for the other nodes' answers. @default 2000 */
  requestsTimeoutMs?: number | undefined;
}

/**
 * The Redis adapter for rooms: what backends send with @socket.io/redis-emitter, and control of sockets on other nodes;
 * never publications. The stock adapter neither awaits nor catches what it does on Redis, and performs whatever arrives
 * there; it is given clients that mend both.
 */
export function createRoomAdapter(deps: RoomAdapterDeps, options: RoomAdapterOptions = {}): ServerOptions["adapter"] {
  const warn = createPacedWarnings(deps.log);
  const refuse = (reason: string): void => warn({ reason }, "ignored a message from another node or an emitter");
  const parser = createAdapterParser(refuse);
  return createAdapter(new CalmPublisher(deps), new GuardedSubscriber(deps, { parser, refuse }), {
    key: options.key ?? "socket.io",
    requestsTimeout: options.requestsTimeoutMs ?? 2_000,
    publishOnSpecificResponseChannel: true,
    parser,
  });
}

/** Publishes that wait for a Redis that is away; what comes on top is dropped. */
const maxWaiting = 1_000;

/** As much of a publishing client as the adapter uses; nothing of it rejects. */
class CalmPublisher {
  readonly #client: RedisClient;
  readonly #failures: Failures;
  #waiting = 0;

  constructor({ publisher, failures }: RoomAdapterDeps) {
    this.#client = publisher;
    this.#failures = failures;
  }

  /** The adapter asks a Cluster's nodes one by one. */
  get isCluster(): boolean {
    return "nodes" in this.#client;
  }

  nodes(): unknown {
    return "nodes" in this.#client ? this.#client.nodes("master") : [];
  }

  publish(channel: string, message: string | Buffer): void {
    if (this.#waiting >= maxWaiting)
      return this.#failures.report("adapter.publish", new Error("too many messages are waiting"));
    this.#waiting += 1;
    this.#client
      .publish(channel, message)
      .catch((error: unknown) => this.#failures.report("adapter.publish", error))
      .finally(() => (this.#waiting -= 1));
  }

  send_command(name: string, args: string[], done: (error?: Error | null, reply?: unknown) => void): void {
    // ioredis tells the callback and rejects besides.
    this.#client.call(name, args, done).catch(() => undefined);
  }

  /** Errors of the connection are whose who opened it. */
  on(): void {}
  off(): void {}
}

type Listener = (...args: Buffer[]) => unknown;

interface Heard {
  listener: Listener;
  args: Buffer[];
  packet: Buffer;
}

/** As much of a subscribing client as the adapter uses; what it hears is looked at first, and a failure stays here. */
class GuardedSubscriber {
  readonly #client: RedisClient;
  readonly #fence: RoomAdapterDeps["fence"];
  readonly #failures: Failures;
  readonly #gate: Gatekeeper;
  readonly #guarded = new Map<Listener, Listener>();
  /** Came while the fence was closed. */
  #waiting: HeldMessages<Heard> | undefined;

  constructor({ subscriber, fence, failures }: RoomAdapterDeps, gate: Gatekeeper) {
    this.#client = subscriber;
    this.#fence = fence;
    this.#failures = failures;
    this.#gate = gate;
  }

  psubscribe(pattern: string): void {
    this.#client.psubscribe(pattern).catch(this.#failed);
  }

  punsubscribe(pattern: string): void {
    this.#client.punsubscribe(pattern).catch(this.#failed);
  }

  subscribe(channels: string[]): void {
    this.#client.subscribe(...channels).catch(this.#failed);
  }

  unsubscribe(channels: string[]): void {
    this.#client.unsubscribe(...channels).catch(this.#failed);
  }

  /** Broadcasts come as `pmessageBuffer` and pass the parser; orders as `messageBuffer`, and those in JSON pass it by. */
  on(event: string, listener: Listener): void {
    if (event === "error") return;
    const guarded = (...args: Buffer[]): void => {
      if (event === "pmessageBuffer" || isControlMessage(this.#gate, ...args)) this.#hear(listener, args);
    };
    this.#guarded.set(listener, guarded);
    this.#client.on(event, guarded);
  }

  off(event: string, listener: Listener): void {
    const guarded = this.#guarded.get(listener);
    if (guarded !== undefined) this.#client.off(event, guarded);
    this.#guarded.delete(listener);
  }

  #hear(listener: Listener, args: Buffer[]): void {
    if (this.#waiting === undefined && this.#fence.isOpen) return this.#perform(listener, args);
    if (this.#waiting === undefined) this.#fence.opened().then(() => this.#performAll(), this.#failed);
    this.#waiting ??= new HeldMessages<Heard>();
    const isKept = this.#waiting.add({ listener, args, packet: args.at(-1) as Buffer });
    if (!isKept) this.#failures.report("adapter.message", new Error("too many messages are waiting"));
  }

  #performAll(): void {
    const waiting = this.#waiting?.take() ?? [];
    this.#waiting = undefined;
    for (const { listener, args } of waiting) this.#perform(listener, args);
  }

  #perform(listener: Listener, args: Buffer[]): void {
    try {
      Promise.resolve(listener(...args)).catch(this.#failed);
    } catch (error) {
      this.#failed(error);
    }
  }

  readonly #failed = (error: unknown): void => this.#failures.report("adapter.message", error);
}

const openBrace = 0x7b;

function isControlMessage({ parser, refuse }: Gatekeeper, channel?: Buffer, message?: Buffer): boolean {
  if (channel === undefined || message === undefined) return false;
  try {
    const isJson = message[0] === openBrace;
    const value = isJson ? parseJson(message, { maxBytes: maxAdapterBytes }) : parser.decode(message);
    const isKnown = channel.includes("-response#") ? isControlResponse(value) : isControlRequest(value);
    // Of what is no JSON the parser told already.
    if (!isKnown && isJson) refuse("neither a request nor a response");
    return isKnown;
  } catch (error) {
    refuse(String(error));
    return false;
  }
}
