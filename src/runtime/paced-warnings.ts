import type { Logger } from "./logger.ts";

/**
 * Rate-limited warnings: logs the first one immediately, and then at most one per interval, with the number suppressed as
 * `repeated` if there were any.
 */
export type PacedWarnings = (fields: object, message: string) => void;

export interface PacedWarningsOptions {
  everyMs?: number;
  now?: () => number;
  /** `info`: what is over. */
  level?: "warn" | "info";
}

/** `message` must come from a closed set; each is limited separately. `now` is monotonic, in milliseconds. */
export function createPacedWarnings(
  log: Logger,
  { everyMs = 5_000, now = () => performance.now(), level = "warn" }: PacedWarningsOptions = {},
): PacedWarnings {
  const logged = new Map<string, { at: number; suppressed: number }>();

  return (fields, message) => {
    const last = logged.get(message);
    if (last !== undefined && now() - last.at < everyMs) return void last.suppressed++;
    const repeated = last?.suppressed ?? 0;
    log[level](repeated === 0 ? fields : { ...fields, repeated }, message);
    logged.set(message, { at: now(), suppressed: 0 });
  };
}
