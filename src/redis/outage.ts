/**
 * True if a command failed because Redis is unreachable, loading, not the primary, or refuses it to its user: the same
 * command may succeed later. Any other failure is a bug.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (outageNames.has(error.name)) return true;
  if (error.name === "ReplyError") return outageReplies.test(error.message) || lacksRight(error);
  return ("syscall" in error && typeof error.syscall === "string") || outageMessages.test(error.message);
}

/** What is wrong with a Redis that answers, and what an operator can do. */
export interface RedisDiagnosis {
  why: string;
  remedy: string;
}

/** Why Redis refuses writes, as a readable reason; undefined for other failures. */
export const whyWritesAreRefused = (failure: unknown): string | undefined => diagnose(failure, writeRefusals)?.why;

/** Undefined if nothing more is known than the failure itself. */
export const diagnosisOf = (failure: unknown): RedisDiagnosis | undefined =>
  diagnose(failure, writeRefusals) ?? diagnose(failure, unusable);

function diagnose(failure: unknown, known: Readonly<Record<string, RedisDiagnosis>>): RedisDiagnosis | undefined {
  const text = failure instanceof Error ? failure.message : failure;
  if (typeof text !== "string") return undefined;
  return Object.entries(known).find(([words]) => text.startsWith(`${words} `))?.[1];
}

const denied: RedisDiagnosis = {
  why: "its user may not run a command",
  remedy: "give it the ACL rule in docs/settings.md",
};

/** By the first words of a reply. */
const writeRefusals = {
  OOM: { why: "it is out of memory", remedy: "free memory or raise its maxmemory" },
  NOREPLICAS: {
    why: "too few replicas are in sync",
    remedy: "connect the replicas that its min-replicas-to-write asks for",
  },
  MISCONF: {
    why: "it cannot write to its disk",
    remedy: "make its disk writable, or see why its last save failed in its log",
  },
  NOPERM: denied,
  "ERR ACL failure": denied,
  "ERR The user executing the script": denied,
};

const rejected: RedisDiagnosis = {
  why: "it rejects the user or password",
  remedy: "set REDIS_USERNAME and REDIS_PASSWORD to what Redis accepts, and restart the node",
};

const unusable = {
  READONLY: {
    why: "it is a read-only replica",
    remedy: "name the primary instead of this replica, unless a failover is under way",
  },
  LOADING: { why: "it is loading its data", remedy: "wait until it has loaded, or see its log" },
  WRONGPASS: rejected,
  NOAUTH: rejected,
};

/** True if Redis did not reply in time; the command may have been executed. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("Command timed out");

/** True if the Redis user may not run the command, also if a script ran it. */
export const isDenied = (error: unknown): boolean =>
  error instanceof Error && diagnose(error, writeRefusals) === denied;

/** Checks of the server can do without these commands. */
const lacksRight = (error: Error): boolean =>
  isDenied(error) && !/'(?:info|time|cluster\b.*)' command/.test(error.message);

/** Errors of ioredis: connection closed, retries exhausted, no node of a Cluster answered. */
const outageNames = new Set(["AbortError", "MaxRetriesPerRequestError", "ClusterAllFailedError"]);

/** Replies of Redis for temporary failures. */
const outageReplies =
  /^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|NOREPLICAS|MISCONF|OOM|BUSY|UNBLOCKED)\b/;

/** Plain errors of ioredis; the last one occurs if slots move while a pipeline is assembled. */
const outageMessages =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|Socket timeout|connect ETIMEDOUT|Cluster isn't ready|Cluster is disconnect|None of startup nodes|Node is disconnected|Too many Cluster redirections|All keys in the pipeline should belong)/;
