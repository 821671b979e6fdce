import type { HandshakeRefusal } from "../protocol/wire.ts";
import { TidegateError } from "./errors.ts";

/** What Socket.IO's client says of an answer to the handshake's HTTP request. */
interface Failed extends Error {
  /** Of a refusal by name, after the transport had opened. */
  data?: unknown;
  /** HTTP status; absent or no number if there was no answer, or for WebSocket. */
  description?: unknown;
  /** The request, where that was polling. */
  context?: { responseText?: string; getResponseHeader?(name: string): string | null };
}

/** Longest wait that a gateway, or whatever stands before it, may ask for, in milliseconds. */
const maxRetryAfterMs = 3_600_000;

/** A handshake refused by name, one refused at the transport for the moment, or no connection at all. */
export function refusalOf(error: Failed): TidegateError {
  if (error.message === "timeout") return new TidegateError("timeout", "Connecting timed out.", { cause: error });
  return byName(error) ?? atTransport(error) ?? unconnected(error);
}

function byName({ data, message }: Failed): TidegateError | undefined {
  const refusal = (data ?? {}) as Partial<HandshakeRefusal>;
  if (refusal.code === undefined) return undefined;
  return new TidegateError(refusal.code, refusal.message ?? message, retryOf(refusal.retryAfterMs));
}

/** HTTP 429 or 503: who answered, the gateway or a proxy, has no time at the moment. */
function atTransport(error: Failed): TidegateError | undefined {
  const status = statusOf(error);
  if (status !== 429 && status !== 503) return undefined;
  const body = bodyOf(error);
  const code = status === 429 ? "rate_limited" : body.code === "draining" ? "draining" : "unavailable";
  const message = body.message ?? `The handshake failed with HTTP ${status}.`;
  return new TidegateError(code, message, { ...retryOf(body.retryAfterMs ?? retryAfterOf(error)), cause: error });
}

function unconnected(error: Failed): TidegateError {
  const status = statusOf(error);
  const reason = status === undefined ? error.message : `the handshake failed with HTTP ${status}`;
  return new TidegateError("disconnected", `Connecting failed: ${reason}.`, { cause: error });
}

/** Undefined where no HTTP answer came, or where a page may not see it. */
export function statusOf({ description }: Failed): number | undefined {
  return typeof description === "number" && description > 0 ? description : undefined;
}

function bodyOf({ context }: Failed): Partial<HandshakeRefusal> {
  try {
    return Object(JSON.parse(context?.responseText ?? "")) as Partial<HandshakeRefusal>;
  } catch {
    return {};
  }
}

/** `Retry-After` in milliseconds: seconds, or a date. */
function retryAfterOf({ context }: Failed): number | undefined {
  const value = context?.getResponseHeader?.("Retry-After") ?? "";
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : undefined;
}

const retryOf = (ms: unknown): { retryAfterMs?: number } =>
  typeof ms === "number" && ms > 0 ? { retryAfterMs: Math.min(ms, maxRetryAfterMs) } : {};
