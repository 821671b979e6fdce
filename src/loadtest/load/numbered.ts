import { channelsOf } from "../client-plan.ts";
import type { Plan } from "../plan.ts";
import { below, seededFor } from "../random.ts";
import type { WorkItem } from "./workload.ts";

/** `data` of a numbered publication. */
export interface Numbered {
  /** Number within its channel, starting at 1. */
  n: number;
  /** Scheduled time in epoch milliseconds. */
  t: number;
  /** Pads it to the requested size. */
  filler: string;
}

/** A publication as sent to either target. */
export interface NumberedBody {
  channel: string;
  event: string;
  data: Numbered;
}

const event = "lab";
const maxQueues = 8;

/** Numbered publications to channels that the seed selects. */
export function createNumbered(plan: Plan, bytes: number): { queues: number; next(dueAt: number): WorkItem } {
  const channels = channelsOf(plan);
  const numbers = channels.map(() => 0);
  const queues = Math.min(maxQueues, channels.length);
  const random = seededFor(plan.seed, "publications");
  const filler = fillerFor(bytes);

  return {
    queues,
    next(dueAt) {
      const index = below(random, channels.length);
      const channel = channels[index] as string;
      const number = (numbers[index] = (numbers[index] ?? 0) + 1);
      const data: Numbered = { n: number, t: toMicros(dueAt), filler };
      const body: NumberedBody = { channel, event, data };
      return { channel, number, dueAt, queue: index % queues, body };
    },
  };
}

/** Number and scheduled time in `data`; empty if another program published it. */
export function readNumbered(data: unknown): { number?: number; sentAt?: number } {
  const { n, t } = (data ?? {}) as Partial<Numbered>;
  return typeof n === "number" && typeof t === "number" ? { number: n, sentAt: t } : {};
}

/** A double holds epoch microseconds; further digits would only cost bytes. */
export const toMicros = (milliseconds: number): number => Math.round(milliseconds * 1_000) / 1_000;

function fillerFor(bytes: number): string {
  const bare = JSON.stringify({ n: 10_000, t: toMicros(performance.timeOrigin), filler: "" } satisfies Numbered);
  return "x".repeat(Math.max(bytes - bare.length, 0));
}
