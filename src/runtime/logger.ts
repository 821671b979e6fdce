import { pino, stdSerializers, type DestinationStream } from "pino";

/** Logs are fields first, a short sentence second. Never a token or a payload. */
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

/** One JSON line an event. What a stranger sent stays inside its JSON string, so no line can be forged. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level,
    base: options.base ?? {},
    redact: {
      paths: ["token", "*.token", "authorization", "*.authorization", "secret", "*.secret"],
      censor: "[redacted]",
    },
    serializers: { err: whatWentWrong },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

/**
 * Of an error what it says and where it came from. Libraries hang more on theirs: ioredis the command that failed, with
 * everything that was written, or the password of a connection that was not let in.
 */
function whatWentWrong(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack, code } = stdSerializers.err(error);
  return { type, message, stack, code: code as unknown };
}
