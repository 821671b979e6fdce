import type { z } from "zod";
import type { Connection } from "./connection.ts";

/**
 * One client event: its schema and its action. `dispatch` parses, throttles, runs and acknowledges; a handler never
 * sees the acknowledgement, a limiter or a metric. It returns the answer's fields (without `ok`) or throws a GatewayError.
 */
export interface ClientHandler {
  readonly event: string;
  readonly schema: z.ZodType;
  /**
   * True if its effect is ordered as soon as `handle` has returned its promise, as with one command on one Redis
   * connection: then the next message about the same channel does not wait for the promise.
   */
  readonly isOrderedOnceStarted: boolean;
  /** True for messages that are limited by their bytes, apart from all others. */
  isEphemeral(message: unknown): boolean;
  handle(connection: Connection, message: unknown): Promise<object> | object;
}

/** Ties a schema to its handler's type. */
export function clientHandler<S extends z.ZodType>(
  event: string,
  schema: S,
  handle: (connection: Connection, message: z.output<S>) => Promise<object> | object,
  { isOrderedOnceStarted = false, isEphemeral }: ClientHandlerOptions<z.output<S>> = {},
): ClientHandler {
  return {
    event,
    schema,
    isOrderedOnceStarted,
    isEphemeral: (message) => isEphemeral?.(message as z.output<S>) ?? false,
    handle: (connection, message) => handle(connection, message as z.output<S>),
  };
}

interface ClientHandlerOptions<Message> {
  isOrderedOnceStarted?: boolean;
  isEphemeral?: (message: Message) => boolean;
}
