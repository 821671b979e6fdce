import type { CommandType } from "../protocol/commands.ts";
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";
import type { Order, OrderEventAnswer, OrderSignalAnswer } from "../protocol/orders.ts";
import { planCalls, type Call } from "./http-plan.ts";
import type { Failure, Outcome, Transport } from "./transport.ts";

export interface HttpOptions {
  /** Where the gateway listens, with a path if it is below one: `https://host.example/realtime`. */
  url: string;
  apiKey: string;
  /** Milliseconds to wait for an answer. @default 5000 */
  timeoutMs?: number;
  /** Calls at once. @default 16 */
  mostCalls?: number;
}

/** What the gateway answers over HTTP. */
export interface HttpAnswers extends Record<CommandType, object> {
  publish: { channel: string; epoch: string; offset: number; duplicate: boolean };
  "order.create": { order: Order };
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
  "session.revoke": { revoked: number; disconnected: number; nodes: number; acknowledged: number };
  "user.disconnect": { disconnected: number; nodes: number; acknowledged: number };
}

/** Over the gateway's HTTP API: publications as batches, all else a call each. Throws for an address that is none. */
export function overHttp({ url, apiKey, timeoutMs = 5_000, mostCalls = 16 }: HttpOptions): Transport<HttpAnswers> {
  const headers = new Headers({ authorization: `Bearer ${apiKey}`, "content-type": "application/json" });
  const base = new URL(url).href.replace(/[?#].*$/, "").replace(/\/+$/, "");

  async function perform({ method, path, body, places, isBatch }: Call): Promise<Outcome[]> {
    try {
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
        redirect: "error",
      });
      if (!response.ok) return await refusedBy(response, places);
      const answer: unknown = await response.json();
      return isBatch ? (answer as { results: BatchResult[] }).results.map(toOutcome) : [{ ok: true, answer }];
    } catch (error) {
      const failure: Failure = { code: "unreachable", message: `The gateway did not answer: ${reasonOf(error)}` };
      return places.map(() => ({ ok: false, failure, mayPass: true }));
    }
  }

  return {
    // A repeat is then answered as the first time, whatever it was.
    needsKey: () => true,
    async send(commands) {
      const outcomes: Outcome[] = [];
      await eachAtMost(mostCalls, planCalls(commands), async (lane) => {
        for (const call of lane) {
          const results = await perform(call);
          for (const [index, place] of call.places.entries()) outcomes[place] = results[index] ?? noResult;
        }
      });
      return outcomes;
    },
  };
}

type BatchResult = ({ ok: true } & HttpAnswers["publish"]) | { ok: false; error: ErrorBody };

function toOutcome(result: BatchResult): Outcome {
  if (!result.ok) return { ok: false, failure: result.error, mayPass: passing.has(result.error.code) };
  const { ok: _ok, ...answer } = result;
  return { ok: true, answer };
}

/** Codes of what may succeed a little later. */
const passing: ReadonlySet<ErrorCode> = new Set([
  "unavailable",
  "writes_refused",
  "internal",
  "rate_limited",
  "draining",
]);

/** Whatever stands before the gateway may answer in its place, with a page instead of a problem. */
async function refusedBy(response: Response, places: readonly number[]): Promise<Outcome[]> {
  const { status, headers } = response;
  const problem: unknown = await response.json().catch(() => undefined);
  const failure = { retryAfterMs: retryAfterOf(headers), ...toFailure(problem, status) };
  return places.map(() => ({ ok: false, failure, mayPass: status >= 500 || status === 429 }));
}

function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get("retry-after") ?? NaN);
  return seconds > 0 ? seconds * 1_000 : undefined;
}

const noResult: Outcome = {
  ok: false,
  failure: { code: "internal", message: "The gateway's response has no result for this command." },
  mayPass: true,
};

/** From an RFC 9457 problem; something between here and the gateway may have answered in its place. */
function toFailure(problem: unknown, status: number): Failure {
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
