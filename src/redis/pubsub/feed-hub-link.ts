import { connect, type Socket } from "node:net";
import type { Clock } from "../../runtime/clock.ts";
import {
  FrameSender,
  frameTypes,
  FrameWriter,
  readAnswer,
  readFrames,
  type HubAnswer,
  type FrameType,
} from "./feed-frames.ts";
import { closedError, subscribeTimeoutMs, within, type ShardedFeed } from "./sharded-feed.ts";

/** Max wait for a hub that accepts connections to say that it may be used; a frozen one never does. */
const openTimeoutMs = 1_000;

/** Max bytes of requests that wait for the hub to read. */
const maxQueuedBytes = 16 * 1_048_576;

interface LinkSubscription {
  /** The hub may still answer earlier requests, for a subscription to the key that has ended. */
  firstRequest: number;
  onMessage: (message: Buffer) => void;
  /** What the hub calls the key, once confirmed. */
  number: number | undefined;
  /** Settled by the hub's next answer. */
  answer: PromiseWithResolvers<void> | undefined;
}

/** A worker's connection to the feed hub. When it closes, every subscription has ended. */
export class FeedHubLink implements ShardedFeed {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #sender: FrameSender;
  readonly #frames = new FrameWriter();
  readonly #subscriptions = new Map<string, LinkSubscription>();
  readonly #byNumber = new Map<number, LinkSubscription>();
  readonly #listeners: (() => void)[] = [];
  readonly #ready = Promise.withResolvers<void>();
  #lastRequest = 0;

  /** Rejects if there is no hub that may be used. */
  static async open(path: string, clock: Clock): Promise<FeedHubLink> {
    const link = new FeedHubLink(connect(path), clock);
    try {
      await within(openTimeoutMs, link.#ready.promise, clock);
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#sender = new FrameSender(socket, maxQueuedBytes);
    readFrames(socket, (type, number, body) => this.#receive(type, number, body));
    socket.on("error", () => undefined); // Closes it.
    this.closed = new Promise((resolve) => void socket.once("close", resolve)).then(() => this.#end());
  }

  subscribe(key: string, onMessage: (message: Buffer) => void): Promise<void> {
    if (this.#socket.destroyed) return Promise.reject(closedError());
    const request = ++this.#lastRequest;
    const known = this.#subscriptions.get(key);
    const { firstRequest = request, number, answer = Promise.withResolvers<void>() } = known ?? {};
    const subscription = { firstRequest, onMessage, number, answer };
    this.#subscriptions.set(key, subscription);
    if (number !== undefined) this.#byNumber.set(number, subscription);
    this.#send(frameTypes.subscribe, key, request);
    return within(subscribeTimeoutMs, answer.promise, this.#clock);
  }

  unsubscribe(key: string): void {
    const { number, answer } = this.#subscriptions.get(key) ?? {};
    if (!this.#subscriptions.delete(key)) return;
    if (number !== undefined) this.#byNumber.delete(number);
    answer?.reject(closedError());
    this.#send(frameTypes.unsubscribe, key);
  }

  onRestored(restored: () => void): void {
    this.#listeners.push(restored);
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(type: FrameType, key: string, request = 0): void {
    this.#sender.send(this.#frames.write(type, request, Buffer.from(key)));
  }

  #receive(type: number, number: number, body: Buffer): void {
    if (type === frameTypes.message) this.#byNumber.get(number)?.onMessage(body);
    else if (type === frameTypes.restored) for (const restored of this.#listeners) restored();
    else if (type === frameTypes.ready) this.#ready.resolve();
    else this.#settle(readAnswer(body), type === frameTypes.confirmed, number);
  }

  /** Messages count from here on: Redis sent earlier ones before it confirmed. */
  #settle({ key, request }: HubAnswer, isConfirmed: boolean, number: number): void {
    const subscription = this.#subscriptions.get(key);
    const { answer, firstRequest = Infinity } = subscription ?? {};
    if (subscription === undefined || answer === undefined || request < firstRequest) return;
    subscription.answer = undefined;
    if (!isConfirmed) return answer.reject(closedError());
    subscription.number = number;
    this.#byNumber.set(number, subscription);
    answer.resolve();
  }

  #end(): void {
    this.#ready.reject(closedError());
    for (const { answer } of this.#subscriptions.values()) answer?.reject(closedError());
    this.#subscriptions.clear();
    this.#byNumber.clear();
  }
}
