import type { CommandType } from "../protocol/commands.ts";
import { subjectOfCommand } from "../protocol/command-subject.ts";
import { bearer } from "../protocol/bearer.ts";
import { isTemporary, type ErrorBody, type ErrorCode } from "../protocol/errors.ts";
import type { Order } from "../protocol/order.ts";
import type { OrderEventAnswer, OrderSignalAnswer, OrderUpdateAnswer } from "../protocol/orders.ts";
import { planCalls, withoutCommands, type HttpCall } from "./http-plan.ts";
import type { Command, CommandFailure, CommandResult, Transport } from "./transport.ts";

export interface HttpOptions {
  /** URL of the gateway, which may have a path: `https://host.example/realtime`. */
  url: string;
  apiKey: string;
  /** Timeout of a request in milliseconds. @default 5000 */
  timeoutMs?: number;
  /** Max concurrent requests. @default 16 */
  maxConcurrentCalls?: number;
}

/** Results of commands over HTTP. */
export interface HttpAnswers extends Record<CommandType, object> {
  publish: { channel: string; epoch: string; offset: number; duplicate: boolean };
  "order.create": { order: Order };
  "order.update": OrderUpdateAnswer;
  "order.event": OrderEventAnswer;
  "order.signal": OrderSignalAnswer;
  "score.submit": {
    board: string;
    member: string;
    score: number;
    rank: number;
    previousRank: number | null;
    total: number;
  };
  "session.update": { session: object; nodes: number; acknowledged: number };
  "session.revoke": { revoked: number; disconnected: number; nodes: number; acknowledged: number };
  "user.disconnect": { disconnected: number; nodes: number; acknowledged: number };
}

export type HttpMethod = "GET" | "POST" | "PUT" | "DELETE" | "PATCH";

export interface HttpRequest {
  method: HttpMethod;
  path: string;
  /** JSON. */
  body: string | undefined;
  /** Idempotency key, if it is not in the body. */
  key?: string | undefined;
  /** Milliseconds that the gateway may wait for others before it answers. @default 0 */
  waitMs?: number | undefined;
  /** W3C trace context, if it is not in the body. */
  traceparent?: string | undefined;
}

export interface HttpTransport extends Transport<HttpAnswers> {
  /** Makes one call, without retries; never rejects. */
  request(request: HttpRequest): Promise<CommandResult>;
  /** Opens a stream of server-sent events behind the last event id; never rejects. */
  stream(path: string, lastEventId: string, signal: AbortSignal): Promise<StreamResult>;
}

export type StreamResult =
  { ok: true; body: ReadableStream<Uint8Array> } | { ok: false; failure: CommandFailure; isTemporary: boolean };

/** Sends over the gateway's HTTP API: publications in batches, other commands in one call each. Throws if `url` is invalid. */
export function overHttp({ url, apiKey, timeoutMs = 5_000, maxConcurrentCalls = 16 }: HttpOptions): HttpTransport {
  const credentials = new Headers({ authorization: bearer(apiKey), "content-type": "application/json" });
  const base = new URL(url).href.replace(/[?#].*$/, "").replace(/\/+$/, "");

  async function request({ method, path, body, key, traceparent, waitMs = 0 }: HttpRequest): Promise<CommandResult> {
    const headers = new Headers(credentials);
    if (key !== undefined) headers.set("idempotency-key", key);
    if (traceparent !== undefined) headers.set("traceparent", traceparent);
    try {
      const signal = AbortSignal.timeout(timeoutMs + waitMs);
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        body: body ?? null,
        signal,
        redirect: "error",
      });
      return response.ok ? { ok: true, answer: await response.json() } : await refusalOf(response);
    } catch (error) {
      return unreachable(error);
    }
  }

  async function stream(path: string, lastEventId: string, signal: AbortSignal): Promise<StreamResult> {
    const opening = new AbortController();
    const timer = setTimeout(() => opening.abort(new Error("timeout")), timeoutMs);
    const abort = (): void => opening.abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      const headers = {
        authorization: bearer(apiKey),
        ...(lastEventId !== "" && { "last-event-id": lastEventId }),
      };
      const response = await fetch(`${base}${path}`, { headers, signal: opening.signal, redirect: "error" });
      return response.ok && response.body !== null ? { ok: true, body: response.body } : await refusalOf(response);
    } catch (error) {
      return unreachable(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  async function perform({ body, indexes, isBatch, ...call }: HttpCall): Promise<CommandResult[]> {
    const result = await request({ ...call, body: body === undefined ? undefined : JSON.stringify(body) });
    if (!result.ok || !isBatch) return indexes.map(() => result);
    const { results = [] } = Object(result.answer) as { results?: BatchResult[] };
    return results.map(toCommandResult);
  }

  /** One call after the other; what is behind a command that failed temporarily is not sent, so as not to overtake it. */
  async function performInOrder(
    queue: readonly HttpCall[],
    commands: readonly Command[],
    results: CommandResult[],
  ): Promise<void> {
    const waiting = new Set<string>();
    const subjectAt = (index: number): string => subjectOfCommand(commands[index] as Command);
    for (const planned of queue) {
      for (const index of planned.indexes) results[index] = unsentResult;
      const call = withoutCommands(planned, (index) => waiting.has(subjectAt(index)));
      const own = call === undefined ? [] : await perform(call);
      for (const [at, index] of (call?.indexes ?? []).entries()) {
        const result = own[at] ?? missingResult;
        results[index] = result;
        if (!result.ok && result.isTemporary) waiting.add(subjectAt(index));
      }
    }
  }

  return {
    request,
    stream,
    // With a key, a retry of any command is answered as the first time.
    needsKey: () => true,
    async send(commands) {
      const results: CommandResult[] = [];
      await eachAtMost(maxConcurrentCalls, planCalls(commands), (queue) => performInOrder(queue, commands, results));
      return results;
    },
  };
}

type BatchResult = ({ ok: true } & HttpAnswers["publish"]) | { ok: false; error: ErrorBody };

function toCommandResult(result: BatchResult): CommandResult {
  if (!result.ok) return { ok: false, failure: result.error, isTemporary: isTemporary(result.error.code) };
  const { ok: _ok, ...answer } = result;
  return { ok: true, answer };
}

type FailedResult = Extract<CommandResult, { ok: false }>;

function unreachable(error: unknown): FailedResult {
  const message = `The gateway did not answer: ${reasonOf(error)}`;
  return { ok: false, failure: { code: "unreachable", message }, isTemporary: true };
}

/** A proxy may respond instead of the gateway, with an HTML page. */
async function refusalOf(response: Response): Promise<FailedResult> {
  const { status, headers } = response;
  const problem: unknown = await response.json().catch(() => undefined);
  const failure = { retryAfterMs: retryAfterOf(headers), ...toFailure(problem, status) };
  return { ok: false, failure, isTemporary: status >= 500 || status === 429 };
}

function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get("retry-after") ?? NaN);
  return seconds > 0 ? seconds * 1_000 : undefined;
}

const missingResult: CommandResult = {
  ok: false,
  failure: { code: "internal", message: "The gateway's response has no result for this command." },
  isTemporary: true,
};

const unsentResult: CommandResult = {
  ok: false,
  failure: { code: "unreachable", message: "An earlier command of the same subject was not answered." },
  isTemporary: true,
  isUnsent: true,
};

/** Converts an RFC 9457 problem; a proxy may have sent something else. */
function toFailure(problem: unknown, status: number): CommandFailure {
  const { code, detail, field, retryAfterMs } = Object(problem) as Record<string, unknown>;
  return {
    code: typeof code === "string" ? (code as ErrorCode) : "internal",
    message: typeof detail === "string" ? detail : `The response does not come from a gateway: HTTP ${status}.`,
    field: typeof field === "string" ? field : undefined,
    ...(typeof retryAfterMs === "number" && { retryAfterMs }),
  };
}

function reasonOf(error: unknown): string {
  const { cause, message } = error instanceof Error ? error : { cause: undefined, message: String(error) };
  return cause instanceof Error ? cause.message : message;
}

async function eachAtMost<T>(most: number, items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
}
