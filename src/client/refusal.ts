import type { HandshakeRefusal } from "../protocol/wire.ts";
import { TidegateError, type TidegateErrorCode } from "./errors.ts";

/** Socket.IO's `connect_error`. */
export interface HandshakeError extends Error {
  /** Sent by the gateway if it refused the handshake after the transport opened. */
  data?: unknown;
  /** HTTP status; absent or no number if there was no response, or with WebSocket. */
  description?: unknown;
  /** The request, with polling. */
  context?: { responseText?: string; getResponseHeader?(name: string): string | null };
}

/** Max delay in milliseconds that a gateway or proxy may request. */
const maxRetryAfterMs = 3_600_000;

/** Converts a refused handshake, a temporary HTTP error (of the gateway or a proxy), or a failed connection. */
export function toConnectError(cause: HandshakeError): TidegateError {
  const { context, data, description: status, message } = cause;
  const isBusy = status === 429 || status === 503;
  const refusal = Object(isBusy ? bodyOf(context) : data) as Partial<HandshakeRefusal>;
  const delayMs = Number(refusal.retryAfterMs ?? (isBusy && retryAfterOf(context)));
  // There is no status if there was no HTTP response or the page may not read it.
  const reason = Number(status) > 0 ? `HTTP ${status as number}` : message;
  return new TidegateError(
    codeOf(status, refusal) ?? (message === "timeout" ? message : "disconnected"),
    refusal.message ?? `Connecting failed: ${reason}.`,
    { retryAfterMs: delayMs > 0 ? Math.min(delayMs, maxRetryAfterMs) : undefined, cause },
  );
}

function codeOf(status: unknown, { code }: Partial<HandshakeRefusal>): TidegateErrorCode | undefined {
  if (status === 429) return "rate_limited";
  return status === 503 && code !== "draining" ? "unavailable" : code;
}

function bodyOf(context: HandshakeError["context"]): unknown {
  try {
    return JSON.parse(context?.responseText ?? "");
  } catch {
    return undefined;
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. */
function retryAfterOf(context: HandshakeError["context"]): number {
  const value = context?.getResponseHeader?.("Retry-After") ?? "";
  return Number(value) * 1_000 || Date.parse(value) - Date.now();
}
