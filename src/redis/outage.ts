/**
 * True where a command failed because the store is away, still loading, or not the one that takes writes: the same
 * command may succeed a moment later. Anything else is a mistake of ours.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (outageNames.has(error.name)) return true;
  if (error.name === "ReplyError") return outageReplies.test(error.message);
  return ("syscall" in error && typeof error.syscall === "string") || outageMessages.test(error.message);
}

/** Why Redis answers and yet refuses writes, in words for anybody; undefined where something else failed. */
export function whyWritesAreRefused(failure: unknown): string | undefined {
  const text = failure instanceof Error ? failure.message : failure;
  if (typeof text !== "string") return undefined;
  return Object.entries(writeRefusals).find(([word]) => text.startsWith(`${word} `))?.[1];
}

const writeRefusals = {
  OOM: "it is out of memory",
  NOREPLICAS: "too few replicas are in sync",
  MISCONF: "it cannot write to its disk",
};

/** True where Redis has not answered in time; what was asked may have been done. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("Command timed out");

/** True where the rule of the Redis user does not allow it. Redis says it so for a script's commands, too. */
export const isDenied = (error: unknown): boolean =>
  error instanceof Error && /^(?:NOPERM|ERR ACL failure)\b/.test(error.message);

/** ioredis' own: a connection that closed under a command, retries used up, no node of a Cluster answering. */
const outageNames = new Set(["AbortError", "MaxRetriesPerRequestError", "ClusterAllFailedError"]);

/** Redis' own words for "not now". */
const outageReplies =
  /^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|NOREPLICAS|MISCONF|OOM|BUSY|UNBLOCKED)\b/;

/** ioredis says these with plain errors; the last where slots move while commands of one turn are put together. */
const outageMessages =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|Socket timeout|connect ETIMEDOUT|Cluster isn't ready|Cluster is disconnect|None of startup nodes|Node is disconnected|Too many Cluster redirections|All keys in the pipeline should belong)/;
