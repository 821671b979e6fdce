import type { ServerResponse } from "node:http";
import { errorCatalogue, GatewayError } from "../protocol/errors.ts";
import { problemOf, problemType, retryAfterOf } from "../protocol/problems.ts";

const jsonType = "application/json; charset=utf-8";

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
  const body = { type: problemType, text: JSON.stringify(problemOf(error, statusOf(error))), rest };
  sendBody(response, statusOf(error), body, { ...fields, ...fieldsOf(error) });
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
  return { ...fields, ...retryAfterOf(error, status) };
}
