import type { IncomingMessage } from "node:http";

/** Max bytes discarded of one request. */
const maxDiscardedBytes = 8 * 1_048_576;

/**
 * Throws away what a refused request still sends, and resolves when it has; undefined where that is nothing. Closing at
 * once instead would reset the connection under a client that is in the middle of its body, and it would never read why.
 */
export function discardRest(request: IncomingMessage): Promise<void> | undefined {
  if (request.complete) return undefined;
  let left = maxDiscardedBytes;
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  return new Promise((resolve) => request.once("close", resolve));
}
