import type { Command, CommandOf, CommandType } from "../protocol/commands.ts";
import type {
  Contract,
  OpenContract,
  OrderChangeInput,
  OrderEventInput,
  OrderInput,
  OrderSignalInput,
  PublicationInput,
  ScoreInput,
} from "../protocol/contract/contract.ts";
import { type BackendCalls, createBackendCalls } from "./backend-calls.ts";
import { type StreamItem, readChannels, type SubscribeOptions } from "./channel-stream.ts";
import type { PublisherError } from "./errors.ts";
import type { HttpAnswers, HttpTransport } from "./http.ts";
import { CommandQueue } from "./queue.ts";
import type { StreamAnswers } from "./stream.ts";
import type { Transport } from "./transport.ts";

export { PublisherError } from "./errors.ts";
export type { BackendCalls } from "./backend-calls.ts";
export type { StreamItem, ChannelOpened, SubscribeOptions } from "./channel-stream.ts";
export { overHttp, type HttpAnswers, type HttpOptions, type HttpTransport } from "./http.ts";
export { overStream, type StreamAnswers, type StreamOptions, type StreamRedis } from "./stream.ts";
export type { Command, CommandType, FailureCode } from "./transport.ts";

export interface PublisherOptions {
  /** Max attempts per command. @default 5 */
  maxAttempts?: number;
  /** Delay in milliseconds before the second attempt, doubled for each further one. @default 100 */
  minDelayMs?: number;
  /** Max delay between attempts in milliseconds. @default 5000 */
  maxDelayMs?: number;
  /** Max queued commands; further ones fail with `queue_full`. @default 10000 */
  maxQueued?: number;
  /** Max commands sent together. @default 1000 */
  maxBatchSize?: number;
  /**
   * W3C trace context of the caller, asked for each command. It goes along with the command, to the gateway's spans, and to
   * your app and webhooks; clients do not see it. With OpenTelemetry: `() => propagated.traceparent` after
   * `propagation.inject(context.active(), propagated)`.
   */
  traceparent?: () => string | undefined;
  /**
   * Called for each failed command and call.
   */
  onFailure?: (error: PublisherError) => void;
}

/** The fields of a command. */
export type CommandFields<T extends CommandType> = Omit<CommandOf<T>, "type">;

type PublishFields = Omit<CommandFields<"publish">, "channel" | "event" | "data">;

/**
 * Sends commands of a backend. Commands of one tick are sent together. Commands of one subject are sent one after the
 * other, so they arrive in order. Temporary failures are retried with the same idempotency key, so each command takes
 * effect once.
 *
 * Each call resolves with the result or rejects with a `PublisherError`.
 */
export interface Publisher<Answers extends Record<CommandType, object>, C extends Contract = OpenContract> {
  publish<Channel extends string>(
    publication: { channel: Channel } & PublicationInput<C, Channel> & PublishFields,
  ): Promise<Answers["publish"]>;
  /** Publishes to many channels; each has its own result. */
  broadcast<Channel extends string>(
    channels: readonly Channel[],
    publication: PublicationInput<C, Channel> & PublishFields,
  ): Promise<PromiseSettledResult<Answers["publish"]>[]>;
  createOrder(order: OrderInput<C, CommandFields<"order.create">>): Promise<Answers["order.create"]>;
  updateOrder(order: OrderChangeInput<C, CommandFields<"order.update">>): Promise<Answers["order.update"]>;
  orderEvent<Status extends string>(
    event: { status: Status } & OrderEventInput<C, Status, CommandFields<"order.event">>,
  ): Promise<Answers["order.event"]>;
  orderSignal<Name extends string>(
    signal: { name: Name } & OrderSignalInput<C, Name, CommandFields<"order.signal">>,
  ): Promise<Answers["order.signal"]>;
  submitScore<Board extends string>(
    score: { board: Board } & ScoreInput<C, Board, CommandFields<"score.submit">>,
  ): Promise<Answers["score.submit"]>;
  updateSession(session: CommandFields<"session.update">): Promise<Answers["session.update"]>;
  revokeSession(session: CommandFields<"session.revoke">): Promise<Answers["session.revoke"]>;
  disconnectUser(user: CommandFields<"user.disconnect">): Promise<Answers["user.disconnect"]>;
  /** Sends any command. */
  send<T extends CommandType>(command: CommandOf<T>): Promise<Answers[T]>;
  /** Resolves when all commands so far have succeeded or failed. */
  flush(): Promise<void>;
  /** Accepts no further commands and calls, and resolves as `flush` does. */
  close(): Promise<void>;
}

const defaults = { maxAttempts: 5, minDelayMs: 100, maxDelayMs: 5_000, maxQueued: 10_000, maxBatchSize: 1_000 };

export interface StreamReading {
  /**
   * Reads channels in order: `for await (const { type, data, position } of publisher.subscribe({ channels, position }))`. It
   * reconnects by itself, and recovers what was missed, also after a restart with the last position. The loop ends with
   * `break`, the signal or `close`. Throws a `PublisherError` if the gateway refuses for good.
   */
  subscribe(options: SubscribeOptions): AsyncGenerator<StreamItem, void, undefined>;
}

/** A publisher over HTTP also has all other backend calls, reads included. */
export type HttpPublisher<C extends Contract = OpenContract> = Publisher<HttpAnswers, C> & BackendCalls & StreamReading;

/** `createPublisher<typeof contract>` has the types of a contract. */
export function createPublisher<C extends Contract = OpenContract>(
  transport: HttpTransport,
  options?: PublisherOptions,
): HttpPublisher<C>;
export function createPublisher<
  C extends Contract = OpenContract,
  Answers extends Record<CommandType, object> = StreamAnswers,
>(transport: Transport<Answers>, options?: PublisherOptions): Publisher<Answers, C>;
export function createPublisher(
  transport: Transport<HttpAnswers> & Partial<HttpTransport>,
  { onFailure, traceparent, ...options }: PublisherOptions = {},
): Publisher<HttpAnswers> & Partial<BackendCalls & StreamReading> {
  const all = { ...defaults, ...options, onFailure: withoutThrowing(onFailure) };
  const queue = new CommandQueue(transport, all);
  const send = <T extends CommandType>(command: CommandOf<T>): Promise<HttpAnswers[T]> =>
    queue.add(withTrace(command, traceparent?.())) as Promise<HttpAnswers[T]>;
  const { request, stream } = transport;
  const closing = new AbortController();

  return {
    ...(request && createBackendCalls({ request }, { ...all, isClosed: () => closing.signal.aborted })),
    ...(stream && {
      subscribe: ({ signal = closing.signal, ...wanted }: SubscribeOptions) =>
        readChannels({ stream }, { ...wanted, signal: AbortSignal.any([signal, closing.signal]) }, all),
    }),
    send,
    publish: (publication) => send({ type: "publish", ...publication }),
    async broadcast(channels, publication) {
      // JavaScript may pass one name.
      const targets: readonly string[] = [channels].flat();
      return Promise.allSettled(targets.map((channel) => send({ type: "publish", channel, ...publication })));
    },
    createOrder: (order) => send({ type: "order.create", ...order }),
    updateOrder: (order) => send({ type: "order.update", ...order }),
    orderEvent: (event) => send({ type: "order.event", ...event }),
    orderSignal: (signal) => send({ type: "order.signal", ...signal } as CommandOf<"order.signal">),
    submitScore: (score) => send({ type: "score.submit", ...score }),
    updateSession: (session) => send({ type: "session.update", ...session }),
    revokeSession: (session) => send({ type: "session.revoke", ...session }),
    disconnectUser: (user) => send({ type: "user.disconnect", ...user }),
    flush: () => queue.flush(),
    close() {
      closing.abort();
      return queue.close();
    },
  };
}

/** Anything but an object is left to the queue, which refuses it. */
function withTrace<T extends Command>(command: T, traceparent: string | undefined): T {
  const isOpen = typeof command === "object" && command !== null && command.meta === undefined;
  return isOpen && traceparent !== undefined ? { ...command, meta: { traceparent } } : command;
}

/** An error in the callback is the application's, and must not become an unhandled rejection. */
function withoutThrowing(onFailure: PublisherOptions["onFailure"]): (error: PublisherError) => void {
  return (error) => {
    try {
      onFailure?.(error);
    } catch (cause) {
      process.emitWarning(`The publisher's onFailure threw: ${String(cause)}`);
    }
  };
}
