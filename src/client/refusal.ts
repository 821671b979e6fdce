import type { HandshakeRefusal } from "../protocol/wire.ts";
import { TidegateError, type TidegateErrorCode } from "./errors.ts";

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
export function toConnectError(cause: HandshakeError): TidegateError {
  const status = statusOf(cause);
  const isBusy = status === 429 || status === 503;
  const named = Object(cause.data) as Partial<HandshakeRefusal>;
  const refusal = named.code === undefined && isBusy ? bodyOf(cause) : named;
  const reason = status === undefined ? cause.message : `HTTP ${status}`;
  return new TidegateError(
    named.code ?? codeOf(cause.message, status, refusal),
    refusal.message ?? `Connecting failed: ${reason}.`,
    { retryAfterMs: boundedDelay(refusal.retryAfterMs ?? (isBusy ? retryAfterOf(cause) : undefined)), cause },
  );
}

/** HTTP 429 or 503 may come from the gateway or from a proxy. */
function codeOf(message: string, status: number | undefined, { code }: Partial<HandshakeRefusal>): TidegateErrorCode {
  if (message === "timeout") return message;
  if (status === 429) return "rate_limited";
  if (status === 503) return code === "draining" ? code : "unavailable";
  return "disconnected";
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
