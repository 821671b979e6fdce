import { pino, stdSerializers, type DestinationStream } from "pino";

/** Fields first, then a short sentence. Tokens and payloads are never logged. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
  child(fields: object): Logger;
}

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  level: LogLevel;
  /** Fields on every line, such as the node's name. */
  base?: Record<string, string>;
  /** @default standard output */
  destination?: DestinationStream;
}

/** One JSON line per event. Untrusted text stays inside its JSON string, so no line can be forged. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level,
    base: options.base ?? {},
    redact: {
      paths: ["token", "*.token", "authorization", "*.authorization", "secret", "*.secret"],
      censor: "[redacted]",
    },
    serializers: { err: serializeError },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

/**
 * Message, code and stack of an error. Libraries attach more: ioredis the failed command with all arguments, or the
 * password of a refused connection.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack, code } = stdSerializers.err(error);
  return { type, message, stack, code: code as unknown };
}
