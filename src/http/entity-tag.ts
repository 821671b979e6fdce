import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** RFC 9110, 8.8.3: the same for the same bytes, and no other's. */
export function entityTagOf(text: string): string {
  return `"${createHash("sha1").update(text).digest("base64url")}"`;
}

/** Most characters of `If-None-Match` that are looked at: some forty tags. */
const longestList = 2_048;

/** RFC 9110, 13.1.2: whether the client has this very answer. Compared weakly, as caches on the way may have weakened it. */
export function isKnownToClient({ headers }: IncomingMessage, tag: string): boolean {
  const known = headers["if-none-match"];
  if (known === undefined || known.length > longestList) return false;
  return known.split(",").some((one) => {
    const given = one.trim();
    return given === "*" || given === tag || given === `W/${tag}`;
  });
}
