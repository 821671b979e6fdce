import { closing } from "../protocol/closings.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";

export interface DrainDeps {
  connections: () => Iterable<Connection>;
  clock: Clock;
  /** @default Math.random */
  random?: () => number;
}

/** Between two batches of closings. */
const batchMs = 50;
/** Additional time for a client to leave by itself before it is closed. */
const graceMs = 250;
/** Max rate at which clients are sent to the other nodes. */
const maxReconnectsPerSecond = 1_000;

/**
 * Moves every client to another node, spread over time so that the other nodes are not overloaded: each receives its own
 * delay, and is closed shortly after it unless it has left. Resolves when no connection is left, or at the deadline, with
 * the number of connections and how many of them had to be closed.
 */
export async function drainConnections(
  { connections, clock, random = Math.random }: DrainDeps,
  withinMs: number,
  deadline: AbortSignal,
): Promise<{ connections: number; closed: number }> {
  const all = [...connections()];
  const spreadMs = Math.min((all.length / maxReconnectsPerSecond) * 1_000, Math.max(withinMs / 2 - graceMs, 0));
  const startedAt = clock.monotonic();
  let closed = 0;
  const due = all.map((connection) => ({ connection, afterMs: Math.round(random() * spreadMs) }));
  for (const { connection, afterMs } of due) connection.emit("drain", { reconnectAfterMs: afterMs });
  const pending = due.toSorted((a, b) => a.afterMs - b.afterMs);
  while (pending.length > 0 && !deadline.aborted) {
    await sleep(clock, batchMs, deadline);
    const elapsed = clock.monotonic() - startedAt - graceMs;
    while (pending[0] !== undefined && (pending[0].afterMs <= elapsed || deadline.aborted)) {
      const { connection } = pending.shift() ?? {};
      if (connection?.isOpen !== true) continue;
      closed += 1;
      connection.close(closing("drain"));
    }
  }
  return { connections: all.length, closed };
}
