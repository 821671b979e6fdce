import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { isOutage } from "./outage.ts";

/**
 * Logs failures caused by an outage of Redis (recognized in `err`) at debug instead of as warnings: `availability.ts` logs
 * the outage once for all. Failures to reach anything else are therefore logged by their `reason`.
 */
export function withoutOutages(log: Logger): Logger {
  const unlessOutage =
    (level: "warn" | "error"): Logger["warn"] =>
    (fields, message) =>
      log[isOfOutage((fields as { err?: unknown }).err) ? "debug" : level](fields, message);
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: unlessOutage("warn"),
    error: unlessOutage("error"),
    fatal: (fields, message) => log.fatal(fields, message),
    child: (fields) => withoutOutages(log.child(fields)),
  };
}

/** The connections that an app loses are its own: to its database, or to another service. */
const isOfApp = (error: unknown): boolean => error instanceof GatewayError && error.code === "app_failed";

/** Whether the outage of Redis, which is logged by itself, explains the error. */
export const isOfOutage = (error: unknown): boolean =>
  !isOfApp(error) && (isOutage(error) || (error instanceof Error && isOutage(error.cause)));
