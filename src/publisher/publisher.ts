import type { CommandOf, CommandType } from "../protocol/commands.ts";
import type { PublisherError } from "./errors.ts";
import { CommandQueue } from "./queue.ts";
import type { Transport } from "./transport.ts";

export { PublisherError } from "./errors.ts";
export { overHttp, type HttpAnswers, type HttpOptions } from "./http.ts";
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
   * Called for each failed command.
   */
  onFailure?: (error: PublisherError) => void;
}

/** The fields of a command. */
export type CommandFields<T extends CommandType> = Omit<CommandOf<T>, "type">;

/**
 * Sends commands of a backend. Commands of one tick are sent together. Commands of one subject are sent one after the
 * other, so they arrive in order. Temporary failures are retried with the same idempotency key, so each command takes
 * effect once.
 *
 * Each call resolves with the result or rejects with a `PublisherError`.
 */
export interface Publisher<Answers extends Record<CommandType, object>> {
  publish(publication: CommandFields<"publish">): Promise<Answers["publish"]>;
  /** Publishes to many channels; each has its own result. */
  broadcast(
    channels: readonly string[],
    publication: Omit<CommandFields<"publish">, "channel">,
  ): Promise<PromiseSettledResult<Answers["publish"]>[]>;
  createOrder(order: CommandFields<"order.create">): Promise<Answers["order.create"]>;
  orderEvent(event: CommandFields<"order.event">): Promise<Answers["order.event"]>;
  orderSignal(signal: CommandFields<"order.signal">): Promise<Answers["order.signal"]>;
  submitScore(score: CommandFields<"score.submit">): Promise<Answers["score.submit"]>;
  revokeSession(session: CommandFields<"session.revoke">): Promise<Answers["session.revoke"]>;
  disconnectUser(user: CommandFields<"user.disconnect">): Promise<Answers["user.disconnect"]>;
  /** Sends any command. */
  send<T extends CommandType>(command: CommandOf<T>): Promise<Answers[T]>;
  /** Resolves when all commands so far have succeeded or failed. */
  flush(): Promise<void>;
  /** Accepts no further commands, and resolves as `flush` does. */
  close(): Promise<void>;
}

const defaults = { maxAttempts: 5, minDelayMs: 100, maxDelayMs: 5_000, maxQueued: 10_000, maxBatchSize: 1_000 };

export function createPublisher<Answers extends Record<CommandType, object>>(
  transport: Transport<Answers>,
  options: PublisherOptions = {},
): Publisher<Answers> {
  const queue = new CommandQueue(transport, { ...defaults, ...options });
  const send = <T extends CommandType>(command: CommandOf<T>): Promise<Answers[T]> =>
    queue.add(command) as Promise<Answers[T]>;

  return {
    send,
    publish: (publication) => send({ type: "publish", ...publication }),
    broadcast: (channels, publication) =>
      Promise.allSettled(channels.map((channel) => send({ type: "publish", channel, ...publication }))),
    createOrder: (order) => send({ type: "order.create", ...order }),
    orderEvent: (event) => send({ type: "order.event", ...event }),
    orderSignal: (signal) => send({ type: "order.signal", ...signal }),
    submitScore: (score) => send({ type: "score.submit", ...score }),
    revokeSession: (session) => send({ type: "session.revoke", ...session }),
    disconnectUser: (user) => send({ type: "user.disconnect", ...user }),
    flush: () => queue.flush(),
    close: () => queue.close(),
  };
}
