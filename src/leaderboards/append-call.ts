import type { AppendTarget } from "../channels/append.ts";

/** How this room's scripts take a channel to publish into: KEYS 1 to 3 and 5 are the channel's, KEYS 4 is `state`. */
export function appendKeys({ meta, log, feed, timestamp: stamp }: AppendTarget, state: string): string[] {
  return stamp === undefined ? [meta, log, feed, state] : [meta, log, feed, state, stamp];
}

/** ARGV 1 to 5 of such a script. */
export function appendArgs({ epoch, size, logTtl, metaTtl, head }: AppendTarget): (string | number)[] {
  return [epoch, size, logTtl, metaTtl, head];
}
