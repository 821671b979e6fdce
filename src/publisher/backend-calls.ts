import { randomUUID } from "node:crypto";
import type { Position } from "../protocol/wire.ts";
import { type BackendOperations, type Operation, operations } from "./backend-operations.ts";
import { PublisherError } from "./errors.ts";
import type { HttpMethod, HttpTransport } from "./http.ts";
import { retryDelayMs, type RetryDelays } from "./retries.ts";
import { pathSegmentProblem } from "./subject.ts";
import type { CommandFailure } from "./transport.ts";

/**
 * The calls of the HTTP API that are not commands, reads included. Temporary failures are retried; writes have an
 * idempotency key, so that a retry takes effect once. Each resolves with the answer or rejects with a `PublisherError`.
 */
export type BackendCalls = {
  [Name in keyof BackendOperations]: (
    request: BackendOperations[Name]["request"],
  ) => Promise<BackendOperations[Name]["answer"]>;
};

export interface BackendCallOptions extends RetryDelays {
  maxAttempts: number;
  onFailure(error: PublisherError): void;
  isClosed(): boolean;
}

type Request = Record<string, unknown>;

export function createBackendCalls(
  transport: Pick<HttpTransport, "request">,
  options: BackendCallOptions,
): BackendCalls {
  async function call(operation: string, [method, path, maxWaitMs]: Operation, request: Request): Promise<unknown> {
    const { encoded, problem } = encode(method, path, request);
    const waitMs = maxWaitMs && (Number(request["timeoutMs"]) || maxWaitMs);
    if (problem !== undefined) throw new PublisherError(problem, { operation, attempts: 0 });
    if (options.isClosed()) throw new PublisherError(closed, { operation, attempts: 0 });
    for (let attempts = 1; ; attempts += 1) {
      const result = await transport.request({ method, ...encoded, waitMs });
      if (result.ok) return result.answer;
      if (!result.isTemporary || attempts >= options.maxAttempts)
        throw new PublisherError(result.failure, { operation, attempts });
      await delay(retryDelayMs(attempts, options, result.failure.retryAfterMs));
    }
  }

  const withReport = (name: string, operation: Operation) => (request: Request) => {
    const answer = call(name, operation, Object(request) as Request);
    // Also marks the promise as handled: a failure that nobody waits for is no unhandled rejection.
    answer.catch(options.onFailure);
    return answer;
  };
  const calls = Object.entries(operations).map(([name, operation]) => [name, withReport(name, operation)]);
  return Object.fromEntries(calls) as BackendCalls;
}

const closed: CommandFailure = { code: "closed", message: "The publisher is closed." };

type EncodedCall =
  | { encoded: { path: string; body: string | undefined; key: string | undefined }; problem?: never }
  | { encoded?: never; problem: CommandFailure };

/** A call that cannot be encoded fails alone, before anything is sent. */
function encode(method: HttpMethod, template: string, { since, ...fields }: Request): EncodedCall {
  const { epoch, offset } = Object(since) as Partial<Position>;
  const rest: Request = { ...fields, ...(since !== undefined && { epoch, offset }) };
  try {
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => takeSegment(rest, name));
    if (method === "GET") return { encoded: { path: withQuery(path, rest), body: undefined, key: undefined } };
    const key = rest["idempotencyKey"] === undefined ? randomUUID() : undefined;
    return { encoded: { path, body: method === "DELETE" ? undefined : JSON.stringify(rest), key } };
  } catch (error) {
    return { problem: error instanceof InvalidField ? error.failure : toBadRequest(error as Error) };
  }
}

class InvalidField extends Error {
  readonly failure: CommandFailure;

  constructor(failure: CommandFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Moves a path parameter out of the fields. Throws if it cannot be part of a path. */
function takeSegment(fields: Request, name: string): string {
  const value = fields[name];
  const problem = pathSegmentProblem(name, value);
  if (problem !== undefined) throw new InvalidField(problem);
  delete fields[name];
  return encodeURIComponent(value as string);
}

const toBadRequest = ({ message }: Error): CommandFailure => ({
  code: "bad_request",
  message: `The request cannot be encoded: ${message}`,
});

function withQuery(path: string, query: Request): string {
  const entries = Object.entries(query).filter(([, value]) => value !== undefined);
  const parameters = new URLSearchParams(entries.map(([name, value]): [string, string] => [name, String(value)]));
  return entries.length === 0 ? path : `${path}?${parameters.toString()}`;
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
