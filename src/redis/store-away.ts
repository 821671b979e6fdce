/** Replies by which Redis says that it cannot serve now, though the connection stands. */
const awayReplies = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|OOM|BUSY|UNBLOCKED)\b/;

/** What ioredis says when there is no connection to send on, or no answer came in time. */
const awayErrors =
  /Command timed out|Connection is closed|max retries per request|Stream isn't writeable|ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|Failed to refresh slots|All sentinels are unreachable|None of startup nodes/;

/** True where a command failed because the store cannot be reached or refuses for the moment; false for our own bugs. */
export function isStoreAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    error.name === "MaxRetriesPerRequestError" || awayReplies.test(error.message) || awayErrors.test(error.message)
  );
}
