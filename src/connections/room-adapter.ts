import { createAdapter } from "@socket.io/redis-adapter";
import type { Namespace, ServerOptions } from "socket.io";
import { MessageBuffer } from "../channels/message-buffer.ts";
import type { Fence } from "../cluster/fence.ts";
import { parseJson } from "../protocol/gate.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import {
  createAdapterParser,
  isControlResponse,
  maxAdapterBytes,
  toControlRequest,
  type AdapterParser,
} from "./adapter-parser.ts";
import { ClusterTag } from "./cluster-tag.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import type { RemoteRequests } from "./remote-requests.ts";

export interface RoomAdapterDeps {
  publisher: RedisClient;
  subscriber: RedisClient;
  /** While it is closed nothing is forwarded to clients. */
  fence: Pick<Fence, "isOpen" | "opened">;
  failures: ErrorReporter;
  /** Performs requests of other nodes and programs. @default as the stock adapter does */
  requests?: Pick<RemoteRequests, "perform"> | undefined;
  clock: Pick<Clock, "after">;
  log: Logger;
}

/** Validates messages from Redis before the adapter sees them, and logs those it refuses. */
interface MessageCheck {
  parser: AdapterParser;
  refuse(reason: string): void;
  tag: ClusterTag;
}

export interface RoomAdapterOptions {
  /** Prefix of the Redis channels. @default "socket.io", as used by an unmodified emitter */
  key?: string | undefined;
  /** Same for all nodes of the cluster; messages of other gateways are ignored. @default every message is for this node */
  cluster?: string | undefined;
  /** Milliseconds to wait for responses of the other nodes. @default 2000 */
  requestsTimeoutMs?: number | undefined;
}

/**
 * The Redis adapter for rooms: events from @socket.io/redis-emitter, and control of sockets on other nodes; never
 * publications. The stock adapter neither awaits nor catches its Redis calls, and executes whatever it receives; the
 * wrapped clients given to it fix both.
 */
export function createRoomAdapter(deps: RoomAdapterDeps, options: RoomAdapterOptions = {}): ServerOptions["adapter"] {
  const warn = createPacedWarnings(deps.log);
  const refuse = (reason: string): void => warn({ reason }, "ignored a message from another node or an emitter");
  const tag = new ClusterTag(options.cluster);
  const parser = createTaggedParser(createAdapterParser(refuse), tag);
  const { key = "socket.io", requestsTimeoutMs: requestsTimeout = 2_000 } = options;
  const publisher = new SafePublisher(deps, tag);
  // Each namespace adds its own, and an app may have any number.
  deps.subscriber.setMaxListeners(0);
  // Socket.IO calls it with `new`, so it cannot be an arrow function.
  return function (namespace: Namespace) {
    const subscriber = new GuardedSubscriber(deps, { parser, refuse, tag }, { namespace, key });
    const adapterOptions = { key, requestsTimeout, publishOnSpecificResponseChannel: true, parser };
    const adapter = createAdapter(publisher, subscriber, adapterOptions)(namespace);
    const requestChannel = requestChannelOf(key, namespace);
    const serverCount = (): Promise<number> =>
      orUnknown(tag.countServers(deps.publisher, requestChannel), requestsTimeout, deps.clock);
    return Object.assign(adapter, { serverCount });
  };
}

/** More than this one, so that whoever waits for answers of all is told after a time-out that some are missing. */
const unknownServerCount = 2;

/** While Redis is away the count would come when it is back. Never rejects, which Socket.IO would not catch. */
function orUnknown(count: Promise<number>, timeoutMs: number, clock: Pick<Clock, "after">): Promise<number> {
  return new Promise((resolve) => {
    const cancel = clock.after(timeoutMs, () => resolve(unknownServerCount));
    void count.then(resolve, () => resolve(unknownServerCount)).finally(cancel);
  });
}

const requestChannelOf = (key: string, { name }: Namespace): string => `${key}-request#${name}#`;

function createTaggedParser(parser: AdapterParser, tag: ClusterTag): AdapterParser {
  return {
    encode: (message) => parser.encode(tag.mark(message)),
    decode(bytes) {
      const message = parser.decode(bytes);
      return tag.isForeign(message) ? [] : message;
    },
  };
}

/** Max pending publishes while Redis is away; further ones are dropped. */
const maxWaiting = 1_000;

/** The part of a publishing client that the adapter uses; its methods never reject. */
class SafePublisher {
  readonly #client: RedisClient;
  readonly #failures: ErrorReporter;
  readonly #tag: ClusterTag;
  #waiting = 0;

  constructor({ publisher, failures }: RoomAdapterDeps, tag: ClusterTag) {
    this.#client = publisher;
    this.#failures = failures;
    this.#tag = tag;
  }

  publish(channel: string, message: string | Buffer): void {
    if (this.#waiting >= maxWaiting)
      return this.#failures.report("adapter.publish", new Error("too many messages are waiting"));
    this.#waiting += 1;
    this.#client
      .publish(channel, typeof message === "string" ? this.#tag.markText(message) : message)
      .catch((error: unknown) => this.#failures.report("adapter.publish", error))
      .finally(() => (this.#waiting -= 1));
  }

  /** Connection errors are handled by the owner of the connection. */
  on(): void {}
  off(): void {}
}

type Listener = (...args: Buffer[]) => unknown;

interface ReceivedMessage {
  run: () => void;
  packet: Buffer;
}

interface AdapterPlace {
  namespace: Namespace;
  key: string;
}

/** The part of a subscribing client that the adapter uses; validates messages and catches errors. */
class GuardedSubscriber {
  readonly #client: RedisClient;
  readonly #fence: RoomAdapterDeps["fence"];
  readonly #failures: ErrorReporter;
  readonly #requests: RoomAdapterDeps["requests"];
  readonly #check: MessageCheck;
  readonly #namespace: Namespace;
  /** Names of the channels of requests and responses. */
  readonly #channels: { request: string; response: string };
  readonly #guarded = new Map<Listener, Listener>();
  /** Received while the fence was closed. */
  #waiting: MessageBuffer<ReceivedMessage> | undefined;

  constructor(
    { subscriber, fence, failures, requests }: RoomAdapterDeps,
    check: MessageCheck,
    { namespace, key }: AdapterPlace,
  ) {
    this.#client = subscriber;
    this.#fence = fence;
    this.#failures = failures;
    this.#requests = requests;
    this.#check = check;
    this.#namespace = namespace;
    this.#channels = { request: requestChannelOf(key, namespace), response: `${key}-response#${namespace.name}#` };
  }

  psubscribe(pattern: string): void {
    this.#client.psubscribe(pattern).catch(this.#failed);
  }

  punsubscribe(pattern: string): void {
    this.#client.punsubscribe(pattern).catch(this.#failed);
  }

  subscribe(channels: string[]): void {
    this.#client.subscribe(...channels, ...this.#markers()).catch(this.#failed);
  }

  unsubscribe(channels: string[]): void {
    this.#client.unsubscribe(...channels, ...this.#markers()).catch(this.#failed);
  }

  #markers(): string[] {
    return this.#check.tag.markers(this.#channels.request);
  }

  /** Broadcasts arrive as `pmessageBuffer` and go through the parser; requests as `messageBuffer`, those in JSON do not. */
  on(event: string, listener: Listener): void {
    if (event === "error") return;
    const guarded = (...args: Buffer[]): void => {
      if (event === "pmessageBuffer") this.#receive(args, () => this.#perform(listener, args));
      else this.#receiveControl(listener, args);
    };
    this.#guarded.set(listener, guarded);
    this.#client.on(event, guarded);
  }

  off(event: string, listener: Listener): void {
    const guarded = this.#guarded.get(listener);
    if (guarded !== undefined) this.#client.off(event, guarded);
    this.#guarded.delete(listener);
  }

  /** Every adapter receives the messages of all namespaces. */
  #receiveControl(listener: Listener, args: Buffer[]): void {
    const [channel = "", message] = [args[0]?.toString(), args[1]];
    const { request, response } = this.#channels;
    if (message === undefined || !(channel === request || channel.startsWith(response))) return;
    const value = decodeControl(this.#check, message);
    if (value === undefined) return;
    const perform = (): void => this.#perform(listener, args);
    if (channel !== request) return isControlResponse(value) ? this.#receive(args, perform) : this.#refuse(value);
    const parsed = toControlRequest(value);
    if (parsed === undefined) return this.#refuse(value);
    this.#receive(args, () => {
      if (this.#requests === undefined) perform();
      else this.#requests.perform(this.#namespace, parsed, perform);
    });
  }

  #refuse(value: unknown): void {
    // The parser has already logged what it makes an empty message of.
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (!isEmpty) this.#check.refuse("neither a request nor a response");
  }

  #receive(args: Buffer[], run: () => void): void {
    if (this.#waiting === undefined && this.#fence.isOpen) return run();
    if (this.#waiting === undefined) this.#fence.opened().then(() => this.#performAll(), this.#failed);
    this.#waiting ??= new MessageBuffer<ReceivedMessage>();
    const isKept = this.#waiting.add({ run, packet: args.at(-1) as Buffer });
    if (!isKept) this.#failures.report("adapter.message", new Error("too many messages are waiting"));
  }

  #performAll(): void {
    const waiting = this.#waiting?.take() ?? [];
    this.#waiting = undefined;
    for (const { run } of waiting) run();
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

/** Undefined if it is malformed, or for another cluster. */
function decodeControl({ parser, refuse, tag }: MessageCheck, message: Buffer): unknown {
  try {
    if (message[0] !== openBrace) return parser.decode(message);
    const value = parseJson(message, { maxBytes: maxAdapterBytes });
    return tag.isForeign(value) ? undefined : value;
  } catch (error) {
    refuse(String(error));
    return undefined;
  }
}
