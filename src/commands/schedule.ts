import { createHash, randomBytes } from "node:crypto";
import type { CommandOf } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson } from "../protocol/gate.ts";
import { kindOf, userChannelOf } from "../protocol/names.ts";
import { createDueWorker } from "../redis/queues/due-worker.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CommandExecutor } from "./command-executor.ts";
import { parseCommand } from "./commands.ts";
import type { DeadCommandStore } from "./dead-command-store.ts";
import { toFailure } from "./failures.ts";
import type { BegunCommand, PageStart, PublishTime, ScheduledCommand, ScheduleStore } from "./schedule-store.ts";

/**
 * Publications for later. Each is published once, by whichever node claims it when it is due: the publication has an
 * idempotency key, so that a node that dies in the middle of it is repeated without a second effect.
 */
export interface Schedule {
  /** Throws `bad_request`, `unknown_channel`, `payload_too_large`, `conflict` and `unavailable`. */
  plan(publication: PublicationToSchedule, when: PublishTime): Promise<{ scheduleId: string; publishAt: number }>;
  list(query: { limit: number; after?: PageStart | undefined }): Promise<{
    scheduled: (ScheduledPublication & PageStart)[];
    next: PageStart | undefined;
  }>;
  /** False if it is unknown, published or being published. */
  cancel(scheduleId: string): Promise<boolean>;
  /** Publications from a user, or to a channel of the user's own; at most `max`. */
  ofUser(userId: string, max: number): Promise<(ScheduledPublication & PageStart)[]>;
  /** Cancels them; returns how many. */
  cancelOf(userId: string): Promise<number>;
  start(): void;
  stop(): Promise<void>;
}

export type PublicationToSchedule = Omit<CommandOf<"publish">, "type">;
type ScheduledPublication = Pick<CommandOf<"publish">, "channel" | "event" | "data">;

export interface ScheduleDeps {
  store: ScheduleStore;
  executor: Pick<CommandExecutor, "perform" | "write" | "encode">;
  /** Throws `unknown_channel`. */
  checkChannel: (channel: string) => void;
  deadLetters: Pick<DeadCommandStore, "add">;
  clock: Clock;
  log: Logger;
}

/** A publication that failed so often becomes a dead letter. */
const maxFailures = 10;
/** Scheduled publications read at once. */
const pageSize = 1_000;
/** Min milliseconds between two claims: how late a publication may be while others keep coming due. */
const minPauseMs = 20;

export function createSchedule({ store, executor, checkChannel, deadLetters, clock, log }: ScheduleDeps): Schedule {
  const worker = createDueWorker<string>({
    claim: (max) => store.claim(max),
    perform: publishDue,
    task: "publishing a scheduled publication",
    minPauseMs,
    clock,
    log,
  });

  async function publishDue(scheduleId: string): Promise<void> {
    const scheduled = await store.begin(scheduleId);
    if (scheduled === undefined) return;
    try {
      await executor.perform(commandOf(scheduled), { door: "schedule", deliveryKey: keyOf(scheduleId) });
    } catch (error) {
      await giveUpOrRetry(scheduled, error);
    }
    await store.remove(scheduleId);
  }

  /** Rethrows if it should be retried when the claim ends. */
  async function giveUpOrRetry(begun: BegunCommand, error: unknown): Promise<void> {
    const { scheduleId, command } = begun;
    const { kind, code, reason } = toFailure("publish", error);
    if (kind === "away") throw error;
    // Of other failures nobody knows whether something was published.
    const tries = await (code === "rate_limited" ? store.refused(begun) : store.failed(scheduleId));
    if (kind === "trouble" && tries < maxFailures) throw error;
    await deadLetters.add({ key: keyOf(scheduleId), command, code, reason, tries });
    log.warn({ scheduleId, code, tries }, "scheduled publication dead-lettered");
  }

  async function planOnce(publication: PublicationToSchedule, when: PublishTime) {
    const scheduleId = idOf(publication);
    const planned = await store.plan({ scheduleId, command: textOf(scheduleId, publication) }, when);
    if (planned === undefined)
      throw new GatewayError("unavailable", "Too many publications are scheduled.", { retryAfterMs: 60_000 });
    worker.expect(planned.dueInMs);
    return { scheduleId, publishAt: planned.publishAt };
  }

  async function* allOf(userId: string): AsyncGenerator<ScheduledCommand> {
    let last: PageStart | undefined;
    do {
      const { page, next } = await store.page(pageSize, last);
      yield* page.filter((scheduled) => concerns(commandOf(scheduled), userId));
      last = next;
    } while (last !== undefined);
  }

  return {
    async plan(publication, when) {
      const { channel, idempotencyKey, ...content } = publication;
      checkChannel(channel);
      executor.encode(publication);
      const write = { scope: `schedule ${channel}`, content: { ...content, ...when }, idempotencyKey };
      return executor.write(write, () => planOnce(publication, when));
    },

    async list({ limit, after }) {
      const { page, next } = await store.page(limit, after);
      return { scheduled: page.map(toListed), next };
    },

    cancel: (scheduleId) => store.cancel(scheduleId),

    async ofUser(userId, max) {
      const found = [];
      for await (const scheduled of allOf(userId)) if (found.push(toListed(scheduled)) === max) break;
      return found;
    },

    async cancelOf(userId) {
      let cancelled = 0;
      for await (const { scheduleId } of allOf(userId)) cancelled += (await store.cancel(scheduleId)) ? 1 : 0;
      return cancelled;
    },

    start: () => worker.start(),
    stop: () => worker.stop(),
  };
}

/** Made in the user's name, or for a channel of the user's own. */
const concerns = ({ channel, from }: CommandOf<"publish">, userId: string): boolean =>
  from?.userId === userId ||
  [userChannelOf(userId), `orders:${userId}`].includes(channel) ||
  (kindOf(channel) === "rank" && channel.endsWith(`:${userId}`));

/** With an idempotency key the id follows from it: a repeat after a crash plans the same publication. */
function idOf({ channel, idempotencyKey }: PublicationToSchedule): string {
  if (idempotencyKey === undefined) return randomBytes(16).toString("base64url");
  return createHash("sha256")
    .update(JSON.stringify([channel, idempotencyKey]))
    .digest("base64url")
    .slice(0, 22);
}

const keyOf = (scheduleId: string): string => `scheduled:${scheduleId}`;

/** A command as the stream takes it, so that a dead letter can be replayed. */
function textOf(scheduleId: string, { data, idempotencyKey, ...publication }: PublicationToSchedule): string {
  return canonicalJson({ type: "publish", ...publication, idempotencyKey: idempotencyKey ?? keyOf(scheduleId), data });
}

/** It was parsed when it was planned. */
const commandOf = ({ command }: ScheduledCommand): CommandOf<"publish"> =>
  parseCommand(command, { maxBytes: Infinity, maxKeys: Infinity }) as CommandOf<"publish">;

function toListed(scheduled: ScheduledCommand): ScheduledPublication & PageStart {
  const { channel, event, data } = commandOf(scheduled);
  return { scheduleId: scheduled.scheduleId, publishAt: scheduled.publishAt, channel, event, data };
}
