import type { IncomingMessage } from "node:http";

/** First part of a session id; names its worker. */
export const sidPrefixOf = (worker: number): string => `${worker}.`;

const prefixed = /^([1-9]\d{0,2})\./;

/** The worker named by the `sid` of a request; undefined for the first request of a connection, which has none. */
export function workerIn({ url = "" }: Pick<IncomingMessage, "url">): number | undefined {
  if (!url.includes("sid=")) return undefined;
  // If there are several, the last one, as Engine.IO parses it.
  const sid = new URLSearchParams(url.slice(url.indexOf("?") + 1)).getAll("sid").at(-1);
  const number = prefixed.exec(sid ?? "")?.[1];
  return number === undefined ? undefined : Number(number);
}
