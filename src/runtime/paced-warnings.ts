import type { Logger } from "./logger.ts";

/** Warns of what may repeat thousands of times a second: the first at once, those of the next while as a number. */
export type PacedWarnings = (fields: object, message: string) => void;

/** Messages come from a closed set; each has its own pace. `now` is monotonic, in milliseconds. */
export function createPacedWarnings(
  log: Logger,
  { everyMs = 5_000, now = () => performance.now() }: { everyMs?: number; now?: () => number } = {},
): PacedWarnings {
  const said = new Map<string, { at: number; unsaid: number }>();

  return (fields, message) => {
    const last = said.get(message);
    if (last !== undefined && now() - last.at < everyMs) return void last.unsaid++;
    log.warn({ ...fields, repeated: last?.unsaid ?? 0 }, message);
    said.set(message, { at: now(), unsaid: 0 });
  };
}
