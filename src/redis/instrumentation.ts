import type { Cluster, Command, Redis } from "ioredis";
import type { Metrics } from "../runtime/metrics.ts";
import { Deadlines } from "./deadlines.ts";

export type RedisMetrics = Pick<Metrics, "redisLatency" | "redisErrors">;

export interface Instrumentation {
  /** Metrics of commands and their failures. @default none */
  metrics?: RedisMetrics | undefined;
  /** Whether commands wait in Redis on purpose; their duration says nothing about it then. @default false */
  blocks?: boolean | undefined;
  /** Timeout of commands in milliseconds. @default none */
  timeoutMs?: number | undefined;
  /** Called with the error of each command that failed. */
  onFailure?: ((error: unknown) => void) | undefined;
}

/** Marks an instrumented command; a set of such short-lived objects would cost more. */
const seen: unique symbol = Symbol("seen");

/**
 * Measures the commands of a connection, counts failures by the connection's role, and times out commands without a reply.
 *
 * ioredis reports commands on a diagnostics channel too, but without their connection, and it serializes each command's
 * arguments for the listeners.
 */
export function instrument(
  client: Redis | Cluster,
  role: string,
  { metrics, blocks = false, timeoutMs, onFailure }: Instrumentation,
): void {
  const deadlines = timeoutMs === undefined ? undefined : new Deadlines(timeoutMs);
  const observe = metrics === undefined || blocks ? undefined : metrics.redisLatency.labels({ role });
  const errors = metrics?.redisErrors.labels({ role });
  const send = client.sendCommand.bind(client) as (command: Command, ...rest: unknown[]) => unknown;

  function watch(command: Command): void {
    const begun = performance.now();
    const batch = deadlines?.batchAt(begun).add(command);
    command.promise.then(
      () => {
        batch?.delete(command);
        observe?.observe((performance.now() - begun) / 1_000);
      },
      (error: unknown) => {
        batch?.delete(command);
        if (isScriptRetry(error)) return;
        errors?.inc();
        onFailure?.(error);
      },
    );
  }

  // A command queued for the connection is sent a second time; its first time counts. The commands that ioredis sends by
  // itself while connecting, some of which old servers refuse, are not counted.
  client.sendCommand = (command: Command & { [seen]?: true }, ...rest: unknown[]) => {
    if (command[seen] === undefined && client.status !== "connect") {
      command[seen] = true;
      watch(command);
    }
    return send(command, ...rest);
  };
}

/** Replies with which a script asks `scripts.ts` to repeat the call; they are no failures. */
const isScriptRetry = (error: unknown): boolean =>
  error instanceof Error && /^NOSCRIPT\b|(?:^|\s)(?:WRONGRUN|UNSETTLED) /.test(error.message);
