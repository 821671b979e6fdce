import { GatewayError } from "../protocol/errors.ts";
import { isGatewayEvent } from "../protocol/reserved-events.ts";
import type { ChannelLog } from "./channel-log.ts";
import type { HistoryOptions, Kinds } from "./kinds.ts";
import type { EphemeralPublished, PublishRequest, Published } from "./publication.ts";

/** Rate limit for publications of one channel. */
export interface PublicationLimit {
  /** Rejects with `rate_limited`. */
  take(): Promise<void>;
  /** Returns what was taken for a request that published nothing. */
  giveBack(): void;
}

export interface PublishDeps {
  kinds: Kinds;
  log: Pick<ChannelLog, "publish" | "publishEphemeral" | "findRepeated" | "isRepeatedEphemeral">;
  /** Undefined if the channel has no limit. Omit if no channel has one. */
  limitOf?: (channel: string) => PublicationLimit | undefined;
}

/** Throws `unknown_channel`, and `bad_request` if the kind delivers events and the gateway or Socket.IO uses the name. */
export function checkEvent(
  kinds: Kinds,
  { channel, event }: Pick<PublishRequest, "channel" | "event">,
): HistoryOptions {
  const { history, deliver } = kinds.of(channel);
  if (deliver === "event" && isGatewayEvent(event))
    throw new GatewayError("bad_request", `event: "${event}" is reserved in channels that deliver events`, {
      field: "event",
    });
  return history;
}

/** Publishes to current subscribers only, within the channel's limit. Repeats are free. */
export async function publishEphemeralWithin(
  { kinds, log, limitOf }: PublishDeps,
  request: PublishRequest,
  now: () => number,
): Promise<EphemeralPublished> {
  checkEvent(kinds, request);
  const { channel } = request;
  const limit = limitOf?.(channel);
  if (limit !== undefined && (await log.isRepeatedEphemeral(request))) return { channel };
  await publishFor(
    limit,
    () => log.publishEphemeral(request, now()),
    (outcome) => outcome === "duplicate",
  );
  return { channel };
}

/**
 * Publishes within the channel's limit. Repeats are free: one that arrives while the first is pending gets its token
 * back. Without a limit nothing is awaited first, so requests reach Redis in the order of the calls.
 */
export async function publishWithin({ kinds, log, limitOf }: PublishDeps, request: PublishRequest): Promise<Published> {
  const history = checkEvent(kinds, request);
  const limit = limitOf?.(request.channel);
  if (limit === undefined) return log.publish(request, history);
  const repeated = request.idempotencyKey === undefined ? undefined : await log.findRepeated(request, history);
  if (repeated !== undefined) return repeated;
  return publishFor(
    limit,
    () => log.publish(request, history),
    ({ duplicate }) => duplicate,
  );
}

/** What is a repeat, or refused, gets its token back. */
async function publishFor<Outcome>(
  limit: PublicationLimit | undefined,
  publish: () => Promise<Outcome>,
  isRepeat: (outcome: Outcome) => boolean,
): Promise<Outcome> {
  await limit?.take();
  try {
    const outcome = await publish();
    if (isRepeat(outcome)) limit?.giveBack();
    return outcome;
  } catch (error) {
    // After any other error it may have been published.
    if (error instanceof GatewayError) limit?.giveBack();
    throw error;
  }
}
