import type { z } from "zod";
import type { Connection } from "./connection.ts";

/**
 * One client event: its schema and what it does. `dispatch` parses, throttles, runs and acknowledges; a handler never
 * sees the acknowledgement, a bucket or a metric. It returns the answer's fields (without `ok`) or throws a GatewayError.
 */
export interface ClientHandler {
  readonly event: string;
  readonly schema: z.ZodType;
  handle(connection: Connection, message: unknown): Promise<object> | object;
}

/** Ties a schema to its handler's type. */
export function clientHandler<S extends z.ZodType>(
  event: string,
  schema: S,
  handle: (connection: Connection, message: z.output<S>) => Promise<object> | object,
): ClientHandler {
  return { event, schema, handle: (connection, message) => handle(connection, message as z.output<S>) };
}
