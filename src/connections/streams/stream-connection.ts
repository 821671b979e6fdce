import { randomUUID } from "node:crypto";
import type { Identity } from "../../auth/identity.ts";
import type { Subscriber } from "../../channels/subscribers.ts";
import { closing, type Closing } from "../../protocol/closings.ts";
import { isTemporary, type ErrorCode } from "../../protocol/errors.ts";
import { Frame } from "../../engine/frames.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ClientHandshake, Connection } from "../connection.ts";

/** Where a stream's events go: server-sent events, or the answer to a long poll. */
export interface StreamOutput {
  readonly queuedBytes: number;
  add(frame: Frame): void;
  retryAfter(ms: number): void;
  /** Sends what waits, then `last`, and ends. */
  finish(last: Frame | undefined): void;
  drop(): void;
}

export interface StreamConnectionContext {
  clock: Pick<Clock, "now">;
  onIdentity(connection: Connection, previous: Identity): void;
  /** Called once, when nothing is delivered any more. `why` is undefined if the client has left or may just reconnect. */
  onEnd(connection: StreamConnection, why: Closing | undefined): void;
}

export interface StreamClient extends Pick<Connection, "address" | "userAgent" | "handshake"> {
  identity: Identity;
}

/** A stream as the rest of the gateway sees it: a connection that sends nothing but its request. */
export class StreamConnection implements Connection, Subscriber {
  readonly id = randomUUID();
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly connectedAt: number;
  readonly transport = "stream";
  readonly namespace = "/";
  readonly handshake: ClientHandshake;
  /** Settles when its subscriptions have begun, or never will. */
  beginning: Promise<void> | undefined;
  readonly #context: StreamConnectionContext;
  readonly #output: StreamOutput;
  readonly #channels: Set<string>;
  #identity: Identity;
  #isOpen = true;

  constructor(
    { identity, address, userAgent, handshake }: StreamClient,
    channels: readonly string[],
    output: (connection: StreamConnection) => StreamOutput,
    context: StreamConnectionContext,
  ) {
    this.#identity = identity;
    this.address = address;
    this.userAgent = userAgent;
    this.handshake = handshake;
    this.connectedAt = context.clock.now();
    this.#channels = new Set(channels);
    this.#context = context;
    this.#output = output(this);
  }

  get identity(): Identity {
    return this.#identity;
  }

  set identity(identity: Identity) {
    const previous = this.#identity;
    this.#identity = identity;
    if (this.#isOpen) this.#context.onIdentity(this, previous);
  }

  /** Empty for a backend. */
  get userId(): string {
    return this.#identity.userId;
  }

  get subscriber(): Subscriber {
    return this;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get queuedBytes(): number {
    return this.#output.queuedBytes;
  }

  deliver(frame: Frame): void {
    if (this.#isOpen) this.#output.add(frame);
  }

  emit(event: string, ...args: unknown[]): void {
    if (!this.#isOpen) return;
    this.#output.add(frameOf(event, ...args));
    if (event === "drain") this.#output.retryAfter((args[0] as { reconnectAfterMs: number }).reconnectAfterMs);
    if (event === "unsubscribed") this.#unsubscribed(args[0] as { channel: string; code: ErrorCode });
  }

  /**
   * After lost publications the stream ends: its client reconnects with its position, and learns what can be recovered.
   * It ends too with its last channel.
   */
  #unsubscribed({ channel, code }: { channel: string; code: ErrorCode }): void {
    this.#channels.delete(channel);
    if (isTemporary(code) || this.#channels.size === 0) this.end();
  }

  close(why: Closing): void {
    this.#end(why, frameOf("closing", why));
  }

  /** Its client has left, or should reconnect at once. */
  end(): void {
    this.#end(undefined, undefined);
  }

  /** Drops the send queue, so that `closing` arrives first; the client recovers the rest by its position. */
  readTooSlowly(): void {
    this.#output.drop();
    this.close(closing("slow_consumer"));
  }

  #end(why: Closing | undefined, last: Frame | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#context.onEnd(this, why);
    this.#output.finish(last);
  }

  // A stream has no requests and no rooms, and cannot acknowledge.

  async request(): Promise<undefined> {}
  answer(): void {}
  join(): void {}
  leave(): void {}
  pauseReading(): void {}
  resumeReading(): void {}
  answerFirst<T>(act: () => Promise<T>): Promise<T> {
    return act();
  }
}

export const frameOf = (event: string, ...args: unknown[]): Frame =>
  Frame.text(`42${JSON.stringify([event, ...args])}`, { isOwn: true });
