import type { IncomingMessage } from "node:http";

/** Goes before the random part of each connection's id, so that whoever reads one knows which worker has it. */
export const markOf = (worker: number): string => `${worker}.`;

const marked = /^([1-9]\d{0,2})\./;

/** The worker named by the `sid` of a request; undefined where there is none, as in the first of a connection. */
export function workerIn({ url = "" }: Pick<IncomingMessage, "url">): number | undefined {
  if (!url.includes("sid=")) return undefined;
  // Of several the last, as Engine.IO reads it.
  const sid = new URLSearchParams(url.slice(url.indexOf("?") + 1)).getAll("sid").at(-1);
  const number = marked.exec(sid ?? "")?.[1];
  return number === undefined ? undefined : Number(number);
}
