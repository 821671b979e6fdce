import { randomFillSync } from "node:crypto";

const idBytes = 15;

/** Random bytes for many ids: drawing them one by one costs ten times as much. */
const pool = Buffer.alloc(128 * idBytes);
let used = pool.length;

/** An unpredictable id of 120 bits, in 20 characters of base64url. */
export function randomId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const start = used;
  used += idBytes;
  return pool.toString("base64url", start, used);
}
