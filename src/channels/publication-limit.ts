import { GatewayError } from "../protocol/errors.ts";
import { isGatewayEvent } from "../protocol/reserved-events.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import type { ChannelLog } from "./channel-log.ts";
import type { HistoryOptions, Kinds } from "./kinds.ts";
import type { EphemeralResult, PublishRequest, Published } from "./publication.ts";

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
  inOrder: LimitedOrder;
}

/** The calls for one channel that are not done. */
interface PendingCalls {
  /** Number of the last call. */
  last: number;
  /** Why a call was refused, and the last call at that time. */
  refusal?: { upTo: number; error: unknown };
}

/**
 * Publications to limited channels, those of each channel in the order of the calls. If the limit refuses one, the calls
 * already made behind it are refused too: one of them could get the next token, and would overtake the retry.
 */
export class LimitedOrder {
  readonly #queue = new KeyedQueue();
  readonly #pending = new Map<string, PendingCalls>();

  /** `take` takes from the limit when it is this call's turn; after `release` it is the turn of the next. */
  run<T>(
    channel: string,
    work: (take: PublicationLimit["take"], release: () => void) => Promise<T>,
    limit: PublicationLimit,
  ): Promise<T> {
    const pending = this.#pending.get(channel) ?? { last: 0 };
    this.#pending.set(channel, pending);
    const call = (pending.last += 1);
    const take = () => takeInOrder(pending, call, limit);
    const done = (): void => {
      if (pending.last === call) this.#pending.delete(channel);
    };
    return this.#queue.run(channel, (release) => work(take, release)).finally(done);
  }
}

async function takeInOrder(pending: PendingCalls, call: number, limit: PublicationLimit): Promise<void> {
  const { refusal } = pending;
  if (refusal !== undefined && call <= refusal.upTo) throw refusal.error;
  try {
    await limit.take();
  } catch (error) {
    pending.refusal = { upTo: pending.last, error };
    throw error;
  }
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
  { kinds, log, limitOf }: Omit<PublishDeps, "inOrder">,
  request: PublishRequest,
  now: () => number,
): Promise<EphemeralResult> {
  checkEvent(kinds, request);
  const { channel } = request;
  const limit = limitOf?.(channel);
  if (limit !== undefined && (await log.isRepeatedEphemeral(request))) return { channel, duplicate: true };
  await limit?.take();
  const isRepeat = (outcome: "new" | "duplicate"): boolean => outcome === "duplicate";
  return { channel, duplicate: isRepeat(await withRefund(limit, log.publishEphemeral(request, now()), isRepeat)) };
}

/**
 * Publishes within the channel's limit. Repeats are free: one that arrives while the first is pending gets its token
 * back. Requests reach Redis in the order of the calls: without a limit because nothing is awaited first.
 */
export async function publishWithin(
  { kinds, log, limitOf, inOrder }: PublishDeps,
  request: PublishRequest,
): Promise<Published> {
  const history = checkEvent(kinds, request);
  const { channel, idempotencyKey } = request;
  const limit = limitOf?.(channel);
  if (limit === undefined) return log.publish(request, history);
  const asked = idempotencyKey === undefined ? undefined : log.findRepeated(request, history);
  // It may fail before its turn.
  asked?.catch(() => undefined);
  const publish = async (take: PublicationLimit["take"], release: () => void): Promise<Published> => {
    const repeated = await asked;
    if (repeated !== undefined) return repeated;
    await take();
    const published = log.publish(request, history);
    release();
    return withRefund(limit, published, ({ duplicate }) => duplicate);
  };
  return inOrder.run(channel, publish, limit);
}

/** What is a repeat, or refused, gets its token back. */
async function withRefund<Outcome>(
  limit: PublicationLimit | undefined,
  published: Promise<Outcome>,
  isRepeat: (outcome: Outcome) => boolean,
): Promise<Outcome> {
  try {
    const outcome = await published;
    if (isRepeat(outcome)) limit?.giveBack();
    return outcome;
  } catch (error) {
    // After any other error it may have been published.
    if (error instanceof GatewayError) limit?.giveBack();
    throw error;
  }
}
