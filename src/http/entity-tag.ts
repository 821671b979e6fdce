import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** RFC 9110, 8.8.3: the same for the same bytes, and no other's. */
export function entityTagOf(text: string): string {
  return `"${createHash("sha1").update(text).digest("base64url")}"`;
}

/** Max length of `If-None-Match` that is evaluated: about forty tags. */
const maxListLength = 2_048;

/**
 * RFC 9110, 13.1.2: whether the client already has this response. A weak comparison, because caches may weaken tags.
 */
export function isKnownToClient({ headers }: IncomingMessage, tag: string): boolean {
  const known = headers["if-none-match"];
  if (known === undefined || known.length > maxListLength) return false;
  return known.split(",").some((one) => {
    const given = one.trim();
    return given === "*" || given === tag || given === `W/${tag}`;
  });
}
