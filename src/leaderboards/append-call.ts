import type { AppendTarget } from "../channels/append.ts";

/** The keys that this folder's publishing scripts expect: KEYS 1 to 3 and 5 are the channel's, KEYS 4 is `state`. */
export function appendKeys({ meta, log, feed, timestamp }: AppendTarget, state: string): string[] {
  return timestamp === undefined ? [meta, log, feed, state] : [meta, log, feed, state, timestamp];
}

/** ARGV 1 to 5 of such a script. */
export function appendArgs({ epoch, size, logTtl, metaTtl, head }: AppendTarget): (string | number)[] {
  return [epoch, size, logTtl, metaTtl, head];
}
