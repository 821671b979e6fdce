import { channelsOf } from "../cast.ts";
import type { Plan } from "../plan.ts";
import { below, seededFor } from "../random.ts";
import type { Item } from "./work.ts";

/** `data` of a numbered publication. */
export interface Numbered {
  /** Among the publications of its channel, from 1. */
  n: number;
  /** When it was to be sent; epoch milliseconds. */
  t: number;
  /** Makes it as long as it is to be. */
  filler: string;
}

/** A publication as both houses get it. */
export interface NumberedBody {
  channel: string;
  event: string;
  data: Numbered;
}

const event = "lab";
const mostLanes = 8;

/** Numbered publications into channels drawn by the seed. */
export function createNumbered(plan: Plan, bytes: number): { lanes: number; next(dueAt: number): Item } {
  const channels = channelsOf(plan);
  const numbers = channels.map(() => 0);
  const lanes = Math.min(mostLanes, channels.length);
  const random = seededFor(plan.seed, "publications");
  const filler = fillerFor(bytes);

  return {
    lanes,
    next(dueAt) {
      const index = below(random, channels.length);
      const channel = channels[index] as string;
      const number = (numbers[index] = (numbers[index] ?? 0) + 1);
      const data: Numbered = { n: number, t: toMicros(dueAt), filler };
      const body: NumberedBody = { channel, event, data };
      return { channel, number, dueAt, lane: index % lanes, body };
    },
  };
}

/** What a reader learns from `data`; nothing where somebody else published. */
export function readNumbered(data: unknown): { number?: number; sentAt?: number } {
  const { n, t } = (data ?? {}) as Partial<Numbered>;
  return typeof n === "number" && typeof t === "number" ? { number: n, sentAt: t } : {};
}

/** A double holds microseconds of the epoch and no more; beyond them are only digits on the wire. */
export const toMicros = (milliseconds: number): number => Math.round(milliseconds * 1_000) / 1_000;

function fillerFor(bytes: number): string {
  const bare = JSON.stringify({ n: 10_000, t: toMicros(performance.timeOrigin), filler: "" } satisfies Numbered);
  return "x".repeat(Math.max(bytes - bare.length, 0));
}
