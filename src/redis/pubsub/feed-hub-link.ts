import { connect, type Socket } from "node:net";
import type { Clock } from "../../runtime/clock.ts";
import { FrameSender, frameTypes, FrameWriter, readFrames, type FrameType } from "./feed-frames.ts";
import { closedError, subscribeTimeoutMs, within, type ShardedFeed } from "./sharded-feed.ts";

/** Max wait for a hub that accepts connections to say that it may be used; a frozen one never does. */
const openTimeoutMs = 1_000;

/** Max bytes of requests that wait for the hub to read. */
const maxQueuedBytes = 16 * 1_048_576;

interface LinkSubscription {
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
    const { number, answer = Promise.withResolvers<void>() } = this.#subscriptions.get(key) ?? {};
    const subscription = { onMessage, number, answer };
    this.#subscriptions.set(key, subscription);
    if (number !== undefined) this.#byNumber.set(number, subscription);
    this.#send(frameTypes.subscribe, key);
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

  #send(type: FrameType, key: string): void {
    this.#sender.send(this.#frames.write(type, 0, Buffer.from(key)));
  }

  #receive(type: number, number: number, body: Buffer): void {
    if (type === frameTypes.message) this.#byNumber.get(number)?.onMessage(body);
    else if (type === frameTypes.restored) for (const restored of this.#listeners) restored();
    else if (type === frameTypes.ready) this.#ready.resolve();
    else this.#settle(this.#subscriptions.get(body.toString()), type === frameTypes.confirmed, number);
  }

  /** Messages count from here on: Redis sent earlier ones before it confirmed. */
  #settle(subscription: LinkSubscription | undefined, isConfirmed: boolean, number: number): void {
    const { answer } = subscription ?? {};
    if (subscription === undefined || answer === undefined) return;
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
