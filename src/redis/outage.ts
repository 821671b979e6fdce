/**
 * True if a command failed because Redis is unreachable, loading, or not the primary: the same command may succeed later.
 * Any other failure is a bug.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (outageNames.has(error.name)) return true;
  if (error.name === "ReplyError") return outageReplies.test(error.message);
  return ("syscall" in error && typeof error.syscall === "string") || outageMessages.test(error.message);
}

/** Why Redis refuses writes, as a readable reason; undefined for other failures. */
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

/** True if Redis did not reply in time; the command may have been executed. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("Command timed out");

/** True if the Redis user may not run the command, also if a script ran it. */
export const isDenied = (error: unknown): boolean =>
  error instanceof Error && /^(?:NOPERM|ERR ACL failure)\b/.test(error.message);

/** Errors of ioredis: connection closed, retries exhausted, no node of a Cluster answered. */
const outageNames = new Set(["AbortError", "MaxRetriesPerRequestError", "ClusterAllFailedError"]);

/** Replies of Redis for temporary failures. */
const outageReplies =
  /^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|NOREPLICAS|MISCONF|OOM|BUSY|UNBLOCKED)\b/;

/** Plain errors of ioredis; the last one occurs if slots move while a pipeline is assembled. */
const outageMessages =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|Socket timeout|connect ETIMEDOUT|Cluster isn't ready|Cluster is disconnect|None of startup nodes|Node is disconnected|Too many Cluster redirections|All keys in the pipeline should belong)/;
