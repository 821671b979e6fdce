import { z } from "zod";
import { parseWith } from "../protocol/parse-with.ts";
import { clientKinds } from "./clients/create-reader.ts";

/** Most publications of a run: every one of them is remembered until the end. */
const mostPublications = 5_000_000;

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
  /** How fast they come, over all workers. */
  connectPerSecond: z.number().gt(0).max(100_000).default(100),
  clients,
});

const channels = z.strictObject({
  /** A kind that anybody may read and backends publish to; the run's own mark and a number are added. */
  prefix: z.string().min(1).max(128).default("news:lab"),
  count: count(100_000).default(1),
  perReader: count(1_000).default(1),
});

const rate = {
  perSecond: z.number().gt(0).max(1_000_000),
  /** Evenly spaced, or at random as from many independent senders. */
  arrivals: z.enum(["steady", "poisson"]).default("poisson"),
  /** So many are due at the same moment. */
  burst: count(10_000).default(1),
};

const load = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("none") }),
  /** Numbered publications into the channels, each into one of them. */
  z.strictObject({ type: z.literal("publications"), ...rate, bytes: z.int().min(0).max(60_000).default(128) }),
  /** Orders on their way; each reader is a customer and reads its own. */
  z.strictObject({ type: z.literal("orders"), ...rate }),
  /** Scores on leaderboards, of which there are as many as channels. */
  z.strictObject({ type: z.literal("scores"), ...rate, members: count(10_000_000).default(1_000) }),
]);

const when = { atSeconds: seconds.default(0), everySeconds: z.number().min(1).max(86_400).optional() };

const fault = z.discriminatedUnion("do", [
  /** Ends connections of readers without a goodbye, spread over so many seconds. */
  z.strictObject({ do: z.literal("cut"), ...when, share: share.default(1), spreadSeconds: seconds.default(0) }),
  /** Readers that read nothing for a while. */
  z.strictObject({ do: z.literal("stall"), ...when, share: share.default(0.05), forSeconds: seconds.default(10) }),
  /** SIGKILL, or the command given for it, to a node named on the command line. */
  z.strictObject({ do: z.literal("kill"), ...when }),
  /** The same with SIGTERM. */
  z.strictObject({ do: z.literal("drain"), ...when }),
]);

const limit = z.number().min(0).optional();

/** What a run must keep within to pass; milliseconds and counts. */
export const thresholds = z.strictObject({
  /** From publish to receipt, live deliveries. */
  p50Ms: limit,
  p90Ms: limit,
  p99Ms: limit,
  p999Ms: limit,
  maxMs: limit,
  /** From a cut to reading again. */
  returnP95Ms: limit,
  returnP99Ms: limit,
  lost: limit.default(0),
  told: limit,
  repeated: limit.default(0),
  reordered: limit.default(0),
  doubled: limit.default(0),
  holes: limit,
  wrongBoards: limit.default(0),
  /** Readers that never read. */
  unread: limit.default(0),
  /** Readers that are not reading in the end. */
  away: limit,
  /** Publications that nobody confirmed. */
  unconfirmed: limit,
  /** Messages the nodes read from Redis, over those their readers want. */
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
    /** Longest wait for what is still on its way in the end. */
    settleSeconds: seconds.default(10),
    faults: z.array(fault).max(100).default([]),
    thresholds: thresholds.prefault({}),
  })
  .superRefine(({ channels, load, durationSeconds }, context) => {
    const refuse = (path: string[], message: string): void => context.addIssue({ code: "custom", path, message });
    if (channels.perReader > channels.count)
      refuse(["channels", "perReader"], `must be at most channels.count (${channels.count})`);
    if (load.type !== "none" && load.perSecond * durationSeconds > mostPublications)
      refuse(["load", "perSecond"], `must produce at most ${mostPublications} publications within durationSeconds`);
  });

export type Scenario = z.output<typeof scenario>;
export type Load = Scenario["load"];
export type Fault = Scenario["faults"][number];
export type Thresholds = z.output<typeof thresholds>;

/** Throws a GatewayError that names the first wrong field. */
export const parseScenario = (value: unknown): Scenario => parseWith(scenario, value);
