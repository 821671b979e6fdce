import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { idempotencyKey } from "../protocol/scalars.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import { headerValues } from "./headers.ts";

const headerName = "Idempotency-Key";

/** The body of a write that has none of its own: whatever else is in it means nothing. */
export const keyBody = z.object({ idempotencyKey: idempotencyKey.optional() }).nullish();

/** The key of a call, from the header or the body; if both are present they must be equal. */
export function idempotencyKeyOf(request: IncomingMessage, body: unknown): string | undefined {
  const inHeader = fromHeader(request);
  const inBody = fromBody(body);
  if (inHeader !== undefined && inBody !== undefined && inHeader !== inBody) {
    throw wrong("idempotencyKey", `differs from the ${headerName} header`);
  }
  return inHeader ?? inBody;
}

function fromHeader(request: IncomingMessage): string | undefined {
  const [value, ...others] = headerValues(request, headerName.toLowerCase());
  if (value === undefined) return undefined;
  if (others.length > 0 || !/^[\x20-\x7e]+$/.test(value))
    throw wrong(headerName, "must be a single value of printable ASCII");
  return parseWith(idempotencyKey, unquoted(value), headerName);
}

/** The IETF draft specifies a quoted string, but most programs send it bare; both denote the same key. */
function unquoted(value: string): string {
  return /^"[^"\\]*"$/.test(value) ? value.slice(1, -1) : value;
}

function fromBody(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null || !("idempotencyKey" in body)) return undefined;
  return typeof body.idempotencyKey === "string" ? body.idempotencyKey : undefined;
}
