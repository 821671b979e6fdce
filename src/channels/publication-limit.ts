import type { ChannelLog } from "./channel-log.ts";
import type { Kinds } from "./kinds.ts";
import type { PublishRequest, Published } from "./publication.ts";

/** What one channel may take in. */
export interface PublicationLimit {
  /** Rejects with `rate_limited`. */
  take(): Promise<void>;
  /** What was taken turned out to be for a repeat. */
  giveBack(): void;
}

export interface PublishDeps {
  kinds: Kinds;
  log: Pick<ChannelLog, "publish" | "findRepeated">;
  /** Undefined where the channel has no limit. Absent: none has. */
  limitOf?: (channel: string) => PublicationLimit | undefined;
}

/**
 * Publishes within the channel's limit. A repeat costs nothing: one that came while the first was on its way is found when
 * it has paid, and gets back what it paid. Where there is no limit nothing is waited for: who publishes first is first on
 * its way.
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
