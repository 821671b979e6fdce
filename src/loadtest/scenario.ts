import { z } from "zod";
import { parseWith } from "../protocol/parse-with.ts";
import { clientKinds } from "./clients/create-reader.ts";

/** Max publications of a run: all of them are kept in memory until the end. */
const maxPublications = 5_000_000;

const count = (most: number) => z.int().min(1).max(most);
const seconds = z.number().min(0).max(86_400);
const share = z.number().gt(0).max(1);

/** By client program, in proportion: `{ "lean": 8, "stock": 1, "tidegate": 1 }`. */
const clients = z
  .partialRecord(z.enum(clientKinds), z.number().min(0).max(1_000_000))
  .refine((shares) => Object.values(shares).some((one) => one > 0), "must name at least one kind of client")
  .default({ lean: 1 });

const readers = z.strictObject({
  count: count(1_000_000).default(100),
  /** New connections per second, over all workers. */
  connectPerSecond: z.number().gt(0).max(100_000).default(100),
  clients,
});

const channels = z.strictObject({
  /** Must be of a kind that anyone may subscribe to and backends publish to; the run's name and a number are added. */
  prefix: z.string().min(1).max(128).default("news:lab"),
  count: count(100_000).default(1),
  perReader: count(1_000).default(1),
});

const rate = {
  perSecond: z.number().gt(0).max(1_000_000),
  /** Evenly spaced, or at random as from many independent senders. */
  arrivals: z.enum(["steady", "poisson"]).default("poisson"),
  /** Number due at the same moment. */
  burst: count(10_000).default(1),
};

const load = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("none") }),
  /** Numbered publications, each to one of the channels. */
  z.strictObject({ type: z.literal("publications"), ...rate, bytes: z.int().min(0).max(60_000).default(128) }),
  /** Orders that move through their statuses; each reader is a customer and follows its own. */
  z.strictObject({ type: z.literal("orders"), ...rate }),
  /** Scores on leaderboards, one board per channel. */
  z.strictObject({ type: z.literal("scores"), ...rate, members: count(10_000_000).default(1_000) }),
]);

const when = { atSeconds: seconds.default(0), everySeconds: z.number().min(1).max(86_400).optional() };

const fault = z.discriminatedUnion("do", [
  /** Drops connections of readers, spread over `spreadSeconds`. */
  z.strictObject({ do: z.literal("cut"), ...when, share: share.default(1), spreadSeconds: seconds.default(0) }),
  /** Pauses the sockets of readers for `forSeconds`. */
  z.strictObject({ do: z.literal("stall"), ...when, share: share.default(0.05), forSeconds: seconds.default(10) }),
  /** Sends SIGKILL to, or runs the given command for, a node named on the command line. */
  z.strictObject({ do: z.literal("kill"), ...when }),
  /** The same with SIGTERM. */
  z.strictObject({ do: z.literal("drain"), ...when }),
]);

const limit = z.number().min(0).optional();

/** Limits that a run must meet to pass, in milliseconds and counts. */
export const thresholds = z.strictObject({
  /** From publish to receipt, live deliveries. */
  p50Ms: limit,
  p90Ms: limit,
  p99Ms: limit,
  p999Ms: limit,
  maxMs: limit,
  /** From a lost connection until subscribed again. */
  reconnectP95Ms: limit,
  reconnectP99Ms: limit,
  lost: limit.default(0),
  reported: limit,
  repeated: limit.default(0),
  reordered: limit.default(0),
  duplicated: limit.default(0),
  gaps: limit,
  wrongBoards: limit.default(0),
  /** Readers that never subscribed. */
  neverSubscribed: limit.default(0),
  /** Readers that are not subscribed at the end. */
  disconnected: limit,
  /** Publications that were not confirmed. */
  unconfirmed: limit,
  /** Messages that the nodes read from Redis, divided by those that their readers need. */
  feedRatio: limit,
});

const scenario = z
  .strictObject({
    name: z.string().regex(/^[\w-]{1,64}$/, "must be 1 to 64 characters out of letters, digits, - and _"),
    description: z.string().max(1_000).optional(),
    readers: readers.prefault({}),
    channels: channels.prefault({}),
    load,
    durationSeconds: z.number().min(1).max(86_400).default(30),
    /** Max wait for missing publications at the end. */
    settleSeconds: seconds.default(10),
    faults: z.array(fault).max(100).default([]),
    thresholds: thresholds.prefault({}),
  })
  .superRefine(({ channels, load, durationSeconds }, context) => {
    const refuse = (path: string[], message: string): void => context.addIssue({ code: "custom", path, message });
    if (channels.perReader > channels.count)
      refuse(["channels", "perReader"], `must be at most channels.count (${channels.count})`);
    if (load.type !== "none" && load.perSecond * durationSeconds > maxPublications)
      refuse(["load", "perSecond"], `must produce at most ${maxPublications} publications within durationSeconds`);
  });

export type Scenario = z.output<typeof scenario>;
export type Load = Scenario["load"];
export type ScenarioFault = Scenario["faults"][number];
export type Thresholds = z.output<typeof thresholds>;

/** Throws a GatewayError that names the first invalid field. */
export const parseScenario = (value: unknown): Scenario => parseWith(scenario, value);
