import type { ServerResponse } from "node:http";
import { errorCatalogue, GatewayError } from "../protocol/errors.ts";
import type { Problem } from "../protocol/problems.ts";

export const problemType = "application/problem+json";
export const jsonType = "application/json; charset=utf-8";

/** Fields of an HTTP answer. */
export type Fields = Readonly<Record<string, string>>;

/** A refusal that only HTTP knows: a code of the catalogue with a status, and perhaps fields, of its own. */
export class HttpRefusal extends GatewayError {
  readonly status: number;
  readonly fields: Fields;

  constructor(error: GatewayError, status: number, fields: Fields = {}) {
    super(error.code, error.message, error.field === undefined ? {} : { field: error.field });
    this.status = status;
    this.fields = fields;
  }
}

/** RFC 9457. `type` links to the documentation. */
export function problemOf(error: GatewayError): Problem {
  const problem: Problem = {
    type: `/docs#${error.code}`,
    title: errorCatalogue[error.code].message,
    status: statusOf(error),
    detail: error.message,
    code: error.code,
  };
  if (error.field !== undefined) problem.field = error.field;
  if (error.retryAfterMs !== undefined) problem.retryAfterMs = error.retryAfterMs;
  return problem;
}

export function statusOf(error: GatewayError): number {
  return error instanceof HttpRefusal ? error.status : errorCatalogue[error.code].status;
}

/**
 * The response is sent at once; if a `rest` of the request is still arriving, the connection stays open until it has.
 */
export function sendProblem(
  response: ServerResponse,
  error: GatewayError,
  fields: Fields = {},
  rest?: Promise<void>,
): void {
  const body = { type: problemType, text: JSON.stringify(problemOf(error)), rest };
  sendBody(response, statusOf(error), body, { ...fields, ...fieldsOf(error) });
}

/**
 * The same as Socket.IO's own refusal of a handshake, for one that is refused before Socket.IO sees it. The leading space
 * is for clients that read any answer as an Engine.IO packet: behind its first character, the type, they find the JSON.
 */
export function sendRefusal(response: ServerResponse, error: GatewayError, fields: Fields = {}): void {
  sendJsonText(response, statusOf(error), ` ${JSON.stringify(error.toBody())}`, { ...fields, ...fieldsOf(error) });
}

export function sendJson(response: ServerResponse, status: number, body: unknown, fields: Fields = {}): void {
  sendJsonText(response, status, JSON.stringify(body), fields);
}

export function sendJsonText(response: ServerResponse, status: number, text: string, fields: Fields = {}): void {
  sendBody(response, status, { type: jsonType, text }, fields);
}

/** 304: the client has it. */
export function sendNotModified(response: ServerResponse, fields: Fields): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(304, { "X-Content-Type-Options": "nosniff", ...fields }).end();
}

interface Body {
  type: string;
  text: string;
  rest?: Promise<void> | undefined;
}

/** Sends nothing if the client has disconnected or a response has begun. */
function sendBody(response: ServerResponse, status: number, { type, text, rest }: Body, fields: Fields): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...fields,
  });
  if (rest === undefined) return void response.end(text);
  response.write(text);
  void rest.then(() => response.end());
}

function fieldsOf(error: GatewayError): Fields {
  const status = statusOf(error);
  const fields: Record<string, string> = error instanceof HttpRefusal ? { ...error.fields } : {};
  if (status === 401) fields["WWW-Authenticate"] = 'Bearer realm="tidegate"';
  return { ...fields, ...retryAfterOf(error) };
}

export function retryAfterOf(error: GatewayError): Fields {
  const status = statusOf(error);
  return status === 429 || status === 503 ? { "Retry-After": `${seconds(error.retryAfterMs ?? 1_000)}` } : {};
}

/** Whole seconds, rounded up, so that a client that waits this long is not refused again. */
export const seconds = (ms: number): number => Math.ceil(ms / 1_000);
