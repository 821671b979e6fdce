import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "../../runtime/logger.ts";
import {
  answerBody,
  FrameSender,
  frameTypes,
  FrameWriter,
  readFrames,
  type HubAnswer,
  type FrameType,
} from "./feed-frames.ts";
import type { ShardedFeed } from "./sharded-feed.ts";

export interface FeedHubDeps {
  feed: ShardedFeed;
  /** Whether the feed delivers; otherwise no worker is accepted. */
  isHealthy: () => boolean;
  log: Logger;
}

export interface FeedHubOptions {
  /** Path of the Unix socket on which workers connect. */
  path: string;
  /** Bytes that may wait for a worker before it is cut off. @default 16 MiB */
  maxQueuedBytes?: number;
}

/** A key with at least one subscribed worker. */
interface SharedKey {
  /** Never given to another key. */
  readonly number: number;
  readonly workers: Set<FrameSender>;
  readonly onMessage: (message: Buffer) => void;
}

/**
 * One feed for all workers of a machine: subscribes once to each key that any of them wants, and hands every message on to
 * those that do, in the order in which Redis sent them. A worker that does not read is cut off.
 */
export class FeedHub {
  readonly #deps: FeedHubDeps;
  readonly #path: string;
  readonly #maxQueuedBytes: number;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, FrameSender>();
  readonly #keys = new Map<string, SharedKey>();
  readonly #frames = new FrameWriter();
  #lastNumber = 0;

  constructor(deps: FeedHubDeps, { path, maxQueuedBytes = 16 * 1_048_576 }: FeedHubOptions) {
    this.#deps = deps;
    this.#path = path;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#server = createServer((socket) => this.#accept(socket));
    deps.feed.onRestored(() => {
      const restored = this.#frames.write(frameTypes.restored);
      for (const worker of this.#sockets.values()) worker.send(restored);
    });
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject).listen(this.#path, resolve);
    });
  }

  stop(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    if (!this.#deps.isHealthy()) return void socket.destroy();
    const worker = new FrameSender(socket, this.#maxQueuedBytes);
    this.#sockets.set(socket, worker);
    readFrames(socket, (type, number, body) => {
      const key = body.toString();
      if (type === frameTypes.subscribe) this.#subscribe(worker, { key, request: number });
      else this.#unsubscribe(worker, key);
    });
    socket.on("error", ({ message }) => this.#deps.log.warn({ reason: message }, "a worker lost the shared feed"));
    socket.on("close", () => {
      this.#sockets.delete(socket);
      for (const [key, { workers }] of this.#keys) if (workers.has(worker)) this.#unsubscribe(worker, key);
    });
    worker.send(this.#frames.write(frameTypes.ready));
  }

  /** Asks Redis also if the key is subscribed: its answer confirms that the connection still receives. */
  #subscribe(worker: FrameSender, { key: name, request }: HubAnswer): void {
    const key = this.#keys.get(name) ?? this.#addKey(name);
    key.workers.add(worker);
    const answer = (type: FrameType): void => {
      if (key.workers.has(worker))
        worker.send(this.#frames.write(type, key.number, answerBody({ key: name, request })));
    };
    this.#deps.feed.subscribe(name, key.onMessage).then(
      () => answer(frameTypes.confirmed),
      () => answer(frameTypes.refused),
    );
  }

  #addKey(name: string): SharedKey {
    const number = ++this.#lastNumber;
    const workers = new Set<FrameSender>();
    const onMessage = (message: Buffer): void => {
      const frame = this.#frames.write(frameTypes.message, number, message);
      for (const worker of workers) worker.send(frame);
    };
    const key = { number, workers, onMessage };
    this.#keys.set(name, key);
    return key;
  }

  #unsubscribe(worker: FrameSender, name: string): void {
    const key = this.#keys.get(name);
    key?.workers.delete(worker);
    if (key?.workers.size !== 0) return;
    this.#keys.delete(name);
    this.#deps.feed.unsubscribe(name);
  }
}
