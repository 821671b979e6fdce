import type { CommandOf, CommandType } from "../protocol/commands.ts";
import type { PublisherError } from "./errors.ts";
import { CommandQueue } from "./queue.ts";
import type { Transport } from "./transport.ts";

export { PublisherError } from "./errors.ts";
export { overHttp, type HttpAnswers, type HttpOptions } from "./http.ts";
export { overStream, type StreamAnswers, type StreamOptions, type StreamRedis } from "./stream.ts";
export type { Command, CommandType, FailureCode } from "./transport.ts";

export interface PublisherOptions {
  /** How often a command is sent before it has failed. @default 5 */
  tries?: number;
  /** Milliseconds before the second try; doubled for each that follows. @default 100 */
  firstPauseMs?: number;
  /** @default 5000 */
  longestPauseMs?: number;
  /** Commands kept waiting while others are on their way; more fail with `queue_full`. @default 10000 */
  mostWaiting?: number;
  /** Commands sent in one go. @default 1000 */
  mostAtOnce?: number;
  /**
   * Told of each command that failed. With it, a failure whose promise nobody looks at is not an unhandled rejection.
   */
  onFailure?: (error: PublisherError) => void;
}

/** A command without its type. */
export type Fields<T extends CommandType> = Omit<CommandOf<T>, "type">;

/**
 * A backend's way to publish. Commands handed in during one tick travel together; those handed in while some are on
 * their way follow when these have been dealt with, so that each subject's commands arrive in order. A try that failed
 * for a reason that may pass is repeated with the same idempotency key: the effect comes once.
 *
 * Each call resolves with the answer, or rejects with a `PublisherError` that says what failed and why.
 */
export interface Publisher<Answers extends Record<CommandType, object>> {
  publish(publication: Fields<"publish">): Promise<Answers["publish"]>;
  /** The same into many channels; each has its own outcome. */
  broadcast(
    channels: readonly string[],
    publication: Omit<Fields<"publish">, "channel">,
  ): Promise<PromiseSettledResult<Answers["publish"]>[]>;
  createOrder(order: Fields<"order.create">): Promise<Answers["order.create"]>;
  orderEvent(event: Fields<"order.event">): Promise<Answers["order.event"]>;
  orderSignal(signal: Fields<"order.signal">): Promise<Answers["order.signal"]>;
  submitScore(score: Fields<"score.submit">): Promise<Answers["score.submit"]>;
  revokeSession(session: Fields<"session.revoke">): Promise<Answers["session.revoke"]>;
  disconnectUser(user: Fields<"user.disconnect">): Promise<Answers["user.disconnect"]>;
  /** Any command. */
  send<T extends CommandType>(command: CommandOf<T>): Promise<Answers[T]>;
  /** Resolves when all that was handed in so far has been answered or has failed. */
  flush(): Promise<void>;
  /** Takes no more, and resolves as `flush` does. */
  close(): Promise<void>;
}

const defaults = { tries: 5, firstPauseMs: 100, longestPauseMs: 5_000, mostWaiting: 10_000, mostAtOnce: 1_000 };

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
