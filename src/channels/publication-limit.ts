import type { ChannelLog } from "./channel-log.ts";
import type { Kinds } from "./kinds.ts";
import type { PublishRequest, Published } from "./publication.ts";

/** Rate limit for publications of one channel. */
export interface PublicationLimit {
  /** Rejects with `rate_limited`. */
  take(): Promise<void>;
  /** Returns what was taken for a request that turned out to be a repeat. */
  giveBack(): void;
}

export interface PublishDeps {
  kinds: Kinds;
  log: Pick<ChannelLog, "publish" | "findRepeated">;
  /** Undefined if the channel has no limit. Omit if no channel has one. */
  limitOf?: (channel: string) => PublicationLimit | undefined;
}

/**
 * Publishes within the channel's limit. Repeats are free: one that arrives while the first is pending gets its token
 * back. Without a limit nothing is awaited first, so requests reach Redis in the order of the calls.
 */
export async function publishWithin({ kinds, log, limitOf }: PublishDeps, request: PublishRequest): Promise<Published> {
  const { history } = kinds.of(request.channel);
  const limit = limitOf?.(request.channel);
  if (limit === undefined) return log.publish(request, history);
  const repeated = request.idempotencyKey === undefined ? undefined : await log.findRepeated(request, history);
  if (repeated !== undefined) return repeated;
  await limit.take();
  const published = await log.publish(request, history);
  if (published.duplicate) limit.giveBack();
  return published;
}
