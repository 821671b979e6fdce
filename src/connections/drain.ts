import { closing } from "../protocol/closings.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";

export interface DrainDeps {
  connections: () => Iterable<Connection>;
  clock: Clock;
  /** @default Math.random */
  random?: () => number;
}

/** Between two slices of closings. */
const sliceMs = 50;
/** A client that goes by itself needs a moment to do so before it is closed. */
const graceMs = 250;
/** Connections that may come to the other nodes in a second. */
const movesPerSecond = 1_000;

/**
 * Sends every client elsewhere, spread over time so that the other nodes are not overrun: each is told its own delay,
 * and closed a little after it where it has not gone by itself. Resolves when nobody is left, or at the deadline, with how
 * many connections there were and how many of them had to be closed.
 */
export async function sendElsewhere(
  { connections, clock, random = Math.random }: DrainDeps,
  withinMs: number,
  deadline: AbortSignal,
): Promise<{ connections: number; closed: number }> {
  const all = [...connections()];
  const spreadMs = Math.min((all.length / movesPerSecond) * 1_000, Math.max(withinMs / 2 - graceMs, 0));
  const begun = clock.monotonic();
  let closed = 0;
  const due = all.map((connection) => ({ connection, afterMs: Math.round(random() * spreadMs) }));
  for (const { connection, afterMs } of due) connection.emit("drain", { reconnectAfterMs: afterMs });
  const waiting = due.toSorted((a, b) => a.afterMs - b.afterMs);
  while (waiting.length > 0 && !deadline.aborted) {
    await sleep(clock, sliceMs, deadline);
    const elapsed = clock.monotonic() - begun - graceMs;
    while (waiting[0] !== undefined && (waiting[0].afterMs <= elapsed || deadline.aborted)) {
      const { connection } = waiting.shift() ?? {};
      if (connection?.isOpen !== true) continue;
      closed += 1;
      connection.close(closing("drain"));
    }
  }
  return { connections: all.length, closed };
}
