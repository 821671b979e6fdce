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
  const { context, description: status, message } = cause;
  const isBusy = status === 429 || status === 503;
  const named = Object(cause.data) as Partial<HandshakeRefusal>;
  const refusal = named.code === undefined && isBusy ? bodyOf(context) : named;
  const delayMs = Number(refusal.retryAfterMs ?? (isBusy && retryAfterOf(context)));
  return new TidegateError(
    named.code ?? codeOf(message, status, refusal),
    refusal.message ?? `Connecting failed: ${isStatus(status) ? `HTTP ${status}` : message}.`,
    { retryAfterMs: delayMs > 0 ? Math.min(delayMs, maxRetryAfterMs) : undefined, cause },
  );
}

function codeOf(message: string, status: unknown, { code }: Partial<HandshakeRefusal>): TidegateErrorCode {
  if (message === "timeout") return message;
  if (status === 429) return "rate_limited";
  if (status === 503) return code === "draining" ? code : "unavailable";
  return "disconnected";
}

/** Not if there was no HTTP response or the page may not read it. */
const isStatus = (description: unknown): description is number => Number(description) > 0;

function bodyOf(context: HandshakeError["context"]): Partial<HandshakeRefusal> {
  try {
    return Object(JSON.parse(context?.responseText ?? "")) as Partial<HandshakeRefusal>;
  } catch {
    return {};
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. */
function retryAfterOf(context: HandshakeError["context"]): number {
  const value = context?.getResponseHeader?.("Retry-After") ?? "";
  return Number(value) * 1_000 || Date.parse(value) - Date.now();
}
