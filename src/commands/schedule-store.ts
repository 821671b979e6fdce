import { createDueSet, type DueSet } from "../redis/queues/due-set.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Publications planned for later, in Redis: ids in a due set, and each one's command in a hash. Both share a slot, so that
 * one script changes both. A publication that a node begins to publish cannot be cancelled any more, until
 * the attempt is refused; if the node dies, the claim ends and another node publishes it.
 */
export interface ScheduleStore {
  /** Undefined if there are too many. Planning the same id again changes nothing. */
  plan(publication: PlannedCommand, when: PublishTime): Promise<PlannedTime | undefined>;
  /** Ids that are due. */
  claim(max: number): ReturnType<DueSet["claim"]>;
  /** Undefined if it is gone. */
  begin(scheduleId: string): Promise<BegunCommand | undefined>;
  /** Returns how often it has failed. */
  failed(scheduleId: string): Promise<number>;
  /** As `failed`, after a refusal: until the next attempt it is planned again, so it is listed and can be cancelled. */
  refused(begun: BegunCommand): Promise<number>;
  remove(scheduleId: string): Promise<void>;
  /** False if it is unknown or being published. */
  cancel(scheduleId: string): Promise<boolean>;
  /** In order of time; `last` is the last one of the previous page. */
  page(max: number, last: PageStart | undefined): Promise<{ page: ScheduledCommand[]; next: PageStart | undefined }>;
}

export type PublishTime = { publishAt: number } | { delayMs: number };

interface PlannedCommand {
  scheduleId: string;
  /** As JSON. */
  command: string;
}

export interface PlannedTime {
  /** Epoch milliseconds of the Redis clock. */
  publishAt: number;
  dueInMs: number;
}

export interface ScheduledCommand extends PlannedCommand {
  publishAt: number;
}

export interface BegunCommand extends ScheduledCommand {
  /** When another node may claim it, as Redis keeps it. */
  claimEnd: string;
}

export type PageStart = Omit<ScheduledCommand, "command">;

/** Milliseconds for which a node publishes what it has claimed; afterwards another node does. */
const leaseMs = 2_000;

export function createScheduleStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  maxScheduled: number,
): ScheduleStore {
  const planScript = loadScript(commands, new URL("./plan-publication.lua", import.meta.url));
  const beginScript = loadScript(commands, new URL("./begin-scheduled.lua", import.meta.url));
  const cancelScript = loadScript(commands, new URL("./cancel-scheduled.lua", import.meta.url));
  const retryScript = loadScript(commands, new URL("./retry-scheduled.lua", import.meta.url));
  const pageScript = loadScript(commands, new URL("./page-scheduled.lua", import.meta.url));
  const [due, publications, failures] = [keys.scheduledDue(), keys.scheduled(), keys.scheduledFailures()];
  const dueSet = createDueSet(commands, { key: due, leaseMs });

  return {
    async plan({ scheduleId, command }, when) {
      const [mode, ms] = "publishAt" in when ? ["at", when.publishAt] : ["in", when.delayMs];
      const reply = await planScript.run([due, publications], [scheduleId, mode, ms, command, maxScheduled]);
      if (reply === null) return undefined;
      const [publishAt, dueInMs] = reply as [number, number];
      return { publishAt, dueInMs };
    },
    claim: (max) => dueSet.claim(max),
    async begin(scheduleId) {
      const [entry, claimEnd = ""] = (await beginScript.run([due, publications], [scheduleId])) as string[];
      // Members without a command would be claimed again and again.
      if (entry === undefined) await dueSet.drop([scheduleId]);
      return entry === undefined ? undefined : { ...toScheduled(scheduleId, entry), claimEnd };
    },
    failed: (scheduleId) => commands.hincrby(failures, scheduleId, 1),
    refused: async ({ scheduleId, claimEnd }) =>
      Number(await retryScript.run([due, publications, failures], [scheduleId, claimEnd])),
    async remove(scheduleId) {
      await commands.multi().zrem(due, scheduleId).hdel(publications, scheduleId).hdel(failures, scheduleId).exec();
    },
    cancel: async (scheduleId) => (await cancelScript.run([due, publications, failures], [scheduleId])) === 1,
    async page(max, last) {
      const args = last === undefined ? [max, "", ""] : [max, last.publishAt, last.scheduleId];
      const flat = (await pageScript.run([due, publications], args)) as (string | null)[];
      return toPage(flat, max);
    },
  };
}

function toPage(flat: readonly (string | null)[], max: number) {
  const page: ScheduledCommand[] = [];
  let next: PageStart | undefined;
  for (let at = 0; at < flat.length; at += 3) {
    const [scheduleId, score, entry] = flat.slice(at, at + 3) as [string, string, string | null];
    next = { scheduleId, publishAt: Number(score) };
    // Others are being published, or were meanwhile.
    if (entry?.startsWith("p") === true) page.push(toScheduled(scheduleId, entry));
  }
  return { page, next: flat.length === 3 * max ? next : undefined };
}

function toScheduled(scheduleId: string, entry: string): ScheduledCommand {
  const colon = entry.indexOf(":");
  return { scheduleId, publishAt: Number(entry.slice(1, colon)), command: entry.slice(colon + 1) };
}
