import type { HandshakeRefusal } from "../protocol/wire.ts";
import { TidegateError } from "./errors.ts";

/** Socket.IO's `connect_error`. */
interface HandshakeError extends Error {
  /** Sent by the gateway if it refused the handshake after the transport opened. */
  data?: unknown;
  /** HTTP status; absent or no number if there was no response, or with WebSocket. */
  description?: unknown;
  /** The request, with polling. */
  context?: { responseText?: string; getResponseHeader?(name: string): string | null };
}

/** Max delay in milliseconds that a gateway or proxy may request. */
const maxRetryAfterMs = 3_600_000;

/** Converts a refused handshake, a temporary HTTP error, or a failed connection. */
export function toConnectError(error: HandshakeError): TidegateError {
  if (error.message === "timeout") return new TidegateError("timeout", "Connecting timed out.", { cause: error });
  return byName(error) ?? atTransport(error) ?? unconnected(error);
}

function byName({ data, message }: HandshakeError): TidegateError | undefined {
  const refusal = (data ?? {}) as Partial<HandshakeRefusal>;
  if (refusal.code === undefined) return undefined;
  return new TidegateError(refusal.code, refusal.message ?? message, {
    retryAfterMs: boundedDelay(refusal.retryAfterMs),
  });
}

/** HTTP 429 or 503, from the gateway or a proxy. */
function atTransport(error: HandshakeError): TidegateError | undefined {
  const status = statusOf(error);
  if (status !== 429 && status !== 503) return undefined;
  const body = bodyOf(error);
  const code = status === 429 ? "rate_limited" : body.code === "draining" ? "draining" : "unavailable";
  const message = body.message ?? `The handshake failed with HTTP ${status}.`;
  return new TidegateError(code, message, {
    retryAfterMs: boundedDelay(body.retryAfterMs ?? retryAfterOf(error)),
    cause: error,
  });
}

function unconnected(error: HandshakeError): TidegateError {
  const status = statusOf(error);
  const reason = status === undefined ? error.message : `the handshake failed with HTTP ${status}`;
  return new TidegateError("disconnected", `Connecting failed: ${reason}.`, { cause: error });
}

/** Undefined if there was no HTTP response or the page may not read it. */
export function statusOf({ description }: HandshakeError): number | undefined {
  return typeof description === "number" && description > 0 ? description : undefined;
}

function bodyOf({ context }: HandshakeError): Partial<HandshakeRefusal> {
  try {
    return Object(JSON.parse(context?.responseText ?? "")) as Partial<HandshakeRefusal>;
  } catch {
    return {};
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. */
function retryAfterOf({ context }: HandshakeError): number | undefined {
  const value = context?.getResponseHeader?.("Retry-After") ?? "";
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : undefined;
}

const boundedDelay = (ms: unknown): number | undefined =>
  Number(ms) > 0 ? Math.min(Number(ms), maxRetryAfterMs) : undefined;
