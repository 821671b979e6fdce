import type { IncomingMessage } from "node:http";

/** First part of a session id; names its worker. */
export const sidPrefixOf = (worker: number): string => `${worker}.`;

const prefixed = /^([1-9]\d{0,2})\./;

/** The worker named by the `sid` of a request; undefined where there is none, as in the first of a connection. */
export function workerIn({ url = "" }: Pick<IncomingMessage, "url">): number | undefined {
  if (!url.includes("sid=")) return undefined;
  // Of several the last, as Engine.IO reads it.
  const sid = new URLSearchParams(url.slice(url.indexOf("?") + 1)).getAll("sid").at(-1);
  const number = prefixed.exec(sid ?? "")?.[1];
  return number === undefined ? undefined : Number(number);
}
