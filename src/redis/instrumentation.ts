import type { Command } from "ioredis";
import type { Metrics } from "../runtime/metrics.ts";
import type { RedisClient, RedisRole } from "./connections.ts";
import { Deadlines } from "./deadlines.ts";

export type RedisMetrics = Pick<Metrics, "redisLatency" | "redisErrors">;

export interface Instrumentation {
  /** Where commands are timed and their failures counted. @default nowhere */
  metrics?: RedisMetrics | undefined;
  /** Milliseconds after which a command that is not answered fails. @default none */
  timeoutMs?: number | undefined;
  /** Called with the error of each command that failed. */
  onFailure?: ((error: unknown) => void) | undefined;
}

/** Roles whose commands wait on purpose; their time says nothing of the store. */
const waitingRoles: ReadonlySet<RedisRole> = new Set(["blocking"]);

/** Marks a command that has been seen: on it, for a set of commands that live this shortly costs more. */
const seen: unique symbol = Symbol("seen");

/**
 * Times every command of a connection, counts those that fail, by the connection's role, and gives up those that are not
 * answered in time.
 *
 * ioredis reports commands on a diagnostics channel too, but without a word of the connection they left through, and
 * it spells out each command's arguments for its listeners.
 */
export function instrument(
  client: RedisClient,
  role: RedisRole,
  { metrics, timeoutMs, onFailure }: Instrumentation,
): void {
  const deadlines = timeoutMs === undefined ? undefined : new Deadlines(timeoutMs);
  const observe = metrics === undefined || waitingRoles.has(role) ? undefined : metrics.redisLatency.labels({ role });
  const errors = metrics?.redisErrors.labels({ role });
  const send = client.sendCommand.bind(client) as (command: Command, ...rest: unknown[]) => unknown;

  function watch(command: Command): void {
    const begun = performance.now();
    const leaving = deadlines?.leaving(begun).add(command);
    command.promise.then(
      () => {
        leaving?.delete(command);
        observe?.observe((performance.now() - begun) / 1_000);
      },
      (error: unknown) => {
        leaving?.delete(command);
        if (isOfScripts(error)) return;
        errors?.inc();
        onFailure?.(error);
      },
    );
  }

  // A command that waited for the connection is sent a second time; its first time counts. What ioredis says by itself
  // while it connects, some of which old servers refuse, is left out.
  client.sendCommand = (command: Command & { [seen]?: true }, ...rest: unknown[]) => {
    if (command[seen] === undefined && client.status !== "connect") {
      command[seen] = true;
      watch(command);
    }
    return send(command, ...rest);
  };
}

/** How `scripts.ts` learns that Redis does not have a script yet: the next command brings it. */
const isOfScripts = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");
