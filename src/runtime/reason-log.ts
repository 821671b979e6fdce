import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** Where something was refused or closed. */
export type ReasonKind = "handshake" | "event" | "http" | "page" | "closing";

/** What was refused or closed, and why. Never contains a secret or a payload. */
export interface Reason {
  kind: ReasonKind;
  /** Error or closing code. */
  code: string;
  /** The rule, the claim or the limiter that decided; undefined if the code says it all. */
  rule?: string | undefined;
  /** In words: the field that was wrong, by how much a token has expired. */
  detail?: string | undefined;
  userId?: string | undefined;
  sessionId?: string | undefined;
  connectionId?: string | undefined;
  address?: string | undefined;
  /** Name of the API key, or of the operator. */
  caller?: string | undefined;
  /** The client event, or the route. */
  operation?: string | undefined;
  channel?: string | undefined;
  requestId?: string | undefined;
}

export interface RecordedReason extends Reason {
  /** Epoch milliseconds of the last time. */
  at: number;
  /** How often it happened; equal ones shortly after one another are one entry. */
  count: number;
}

/** The last refusals and closings of this node, newest first. */
export interface ReasonLog {
  record(reason: Reason): void;
  latest(limit: number): RecordedReason[];
}

export interface ReasonLogDeps {
  clock: Pick<Clock, "now">;
  log: Logger;
  /** Called with each reason. */
  onRecorded?: (reason: Reason) => void;
}

export interface ReasonLogOptions {
  /** Max entries; the oldest is dropped. @default 1000 */
  maxEntries?: number;
}

/** Equal reasons within this time of the first are counted in its entry, so that one flooding client has one. */
const mergeMs = 10_000;
/** Max characters of one value: names may come from clients. */
const maxLength = 256;

export function createReasonLog(
  { clock, log, onRecorded }: ReasonLogDeps,
  { maxEntries = 1_000 }: ReasonLogOptions = {},
): ReasonLog {
  /** By what makes two equal, in order of their first time. */
  const entries = new Map<string, RecordedReason & { since: number }>();

  function add(key: string, reason: Reason, now: number): void {
    entries.delete(key);
    entries.set(key, { ...bounded(reason), at: now, since: now, count: 1 });
    if (entries.size <= maxEntries) return;
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
  }

  return {
    record(reason) {
      log.debug(reason, reason.kind === "closing" ? "closed a connection" : "refused");
      onRecorded?.(reason);
      const now = clock.now();
      const key = keyOf(reason);
      const known = entries.get(key);
      if (known === undefined || now - known.since > mergeMs) return add(key, reason, now);
      known.at = now;
      known.count += 1;
    },
    latest: (limit) =>
      [...entries.values()]
        .toSorted((a, b) => b.at - a.at)
        .slice(0, limit)
        .map(({ since: _since, ...entry }) => entry),
  };
}

const keyOf = ({ kind, code, rule, userId, connectionId, address, caller, operation }: Reason): string =>
  `${kind} ${code} ${rule} ${userId} ${connectionId} ${address} ${caller} ${operation}`;

function bounded(reason: Reason): Reason {
  const values = Object.entries(reason).filter(([, value]) => value !== undefined);
  const texts = Object.fromEntries(values.map(([name, value]) => [name, String(value).slice(0, maxLength)]));
  return { kind: reason.kind, code: reason.code, ...texts };
}
