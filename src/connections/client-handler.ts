import type { z } from "zod";
import type { Connection } from "./connection.ts";

/**
 * One client event: its schema and what it does. `dispatch` parses, throttles, runs and acknowledges; a handler never
 * sees the acknowledgement, a bucket or a metric. It returns the answer's fields (without `ok`) or throws a GatewayError.
 */
export interface ClientHandler {
  readonly event: string;
  readonly schema: z.ZodType;
  /**
   * True where what it does has its place in order as soon as `handle` has returned its promise, such as one command on
   * one connection: then the next message about the same channel does not wait for its end.
   */
  readonly isInOrderOnceBegun: boolean;
  handle(connection: Connection, message: unknown): Promise<object> | object;
}

/** Ties a schema to its handler's type. */
export function clientHandler<S extends z.ZodType>(
  event: string,
  schema: S,
  handle: (connection: Connection, message: z.output<S>) => Promise<object> | object,
  { isInOrderOnceBegun = false }: Partial<Pick<ClientHandler, "isInOrderOnceBegun">> = {},
): ClientHandler {
  const run: ClientHandler["handle"] = (connection, message) => handle(connection, message as z.output<S>);
  return { event, schema, isInOrderOnceBegun, handle: run };
}
