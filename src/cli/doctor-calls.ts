import { bearer } from "../protocol/bearer.ts";
import type { NodeReport } from "../protocol/operator/operator.ts";
import { urlBelow } from "../runtime/url-below.ts";

/** One thing that was checked, and what to do if it is wrong. */
export interface Diagnosis {
  check: string;
  result: "ok" | "warning" | "failed" | "skipped";
  detail: string;
  mend?: string;
}

export type CheckOutcome = Omit<Diagnosis, "check">;

/** What is checked. */
export interface Deployment {
  url: string;
  key: string;
  /** Origin of the pages that connect; empty if it was not given. */
  origin: string;
  /** What an operator sees, read once; undefined without an operator's secret. */
  overview: (() => Promise<Overview>) | undefined;
  /** Any other call of the operator API. */
  operatorGet: <T>(path: string) => Promise<T>;
}

export type DoctorCheck = (deployment: Deployment) => Promise<CheckOutcome>;

export interface Overview {
  nodes: Pick<NodeReport, "nodeId" | "version" | "clockOffsetMs">[];
  missing: { nodeId: string; state: string }[];
  store: {
    description: string;
    evictionPolicy?: string;
    hasAppendOnlyFile?: boolean;
    sampledKeys?: number;
    foreignKeys?: number;
  };
}

export const timeoutMs = 5_000;

export const ok = (detail: string): CheckOutcome => ({ result: "ok", detail });
export const skipped = (detail: string): CheckOutcome => ({ result: "skipped", detail });
export const wrong = (result: "warning" | "failed", detail: string, mend: string): CheckOutcome => ({
  result,
  detail,
  mend,
});

/** A call that was refused or not answered, and what to do about it. */
export class CheckFailure extends Error {
  readonly mend: string;

  constructor(message: string, mend: string) {
    super(message);
    this.mend = mend;
  }
}

const mendUnavailable = "see Redis and readiness, and docs/troubleshooting.md#redis";

export const noAnswer = (): CheckFailure =>
  new CheckFailure(
    `no answer within ${timeoutMs / 1_000} s`,
    "a node behind the proxy may be frozen or overloaded: see nodes and versions, and ask each node with --url",
  );

export async function ask(url: string, path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(urlBelow(url, path), { ...init, signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    throw (error as Error).name === "TimeoutError" ? noAnswer() : error;
  }
}

/** Throws if a node refuses handshakes for now, with the reason that it gives. */
export async function throwIfUnavailable(response: Response): Promise<void> {
  if (response.status !== 503 && response.status !== 429) return;
  const { message, detail } = (await response.json().catch(() => ({}))) as { message?: string; detail?: string };
  throw new CheckFailure(`HTTP ${response.status}: ${message ?? detail ?? ""}`, mendUnavailable);
}

export async function backendCall<T>(
  url: string,
  key: string,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const headers = { authorization: bearer(key), "content-type": "application/json" };
  const response = await ask(url, path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const answer = (await response.json()) as T & { detail?: string };
  if (response.ok) return answer;
  const isUnavailable = response.status === 503;
  const mend = isUnavailable ? mendUnavailable : "check --key and --operator";
  throw new CheckFailure(answer.detail ?? `HTTP ${response.status}`, mend);
}

/** With the cause, which `fetch` does not name in its message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === "string" ? `${error.message} (${code})` : error.message;
}
