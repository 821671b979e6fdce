import { writeSync } from "node:fs";
import { createRedisConnections } from "../../../src/redis/connections.ts";
import { createKeys } from "../../../src/redis/keys.ts";
import { systemClock, type Clock } from "../../../src/runtime/clock.ts";
import { createLogger } from "../../../src/runtime/logger.ts";
import type { ThrottlingOptions } from "../../../src/throttling/policies.ts";
import { createThrottling } from "../../../src/throttling/throttling.ts";

/** What a taker process is told, as JSON in its one argument. */
export interface TakerOrders {
  url: string;
  prefix: string;
  limits: ThrottlingOptions;
  /** How wrong its wall clock is. */
  skewMs: number;
  /** Messages it sends at once, and how long it then rests. */
  burst: number;
  pauseMs: number;
}

/**
 * A node in a process of its own that sends one user's messages until it is told to end. Writes a line for each that
 * passed, `asked heard` in microseconds of the machine's monotonic clock, before anything else can happen.
 */
async function run({ url, prefix, limits, skewMs, burst, pauseMs }: TakerOrders): Promise<void> {
  const log = createLogger({ level: "silent" });
  const clock: Clock = { ...systemClock, now: () => Date.now() + skewMs };
  const redis = createRedisConnections({ address: { topology: "single", url }, nodeId: "taker", log });
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const dependencies = { commands, keys: createKeys(prefix), clock, log };
  const throttling = createThrottling({ ...dependencies, metrics: { refused: () => undefined } }, limits);
  throttling.start();
  const ending = new AbortController();
  process.once("SIGTERM", () => ending.abort());

  const send = async (n: number): Promise<void> => {
    const asked = micros();
    const { allowed } = await throttling.message(`c${n}`, { userId: "u" }, "publish");
    if (allowed) writeSync(1, `${asked} ${micros()}\n`);
  };
  while (!ending.signal.aborted) {
    await Promise.all(Array.from({ length: burst }, (_, n) => send(n)));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await throttling.stop();
  await redis.close();
}

const micros = (): bigint => process.hrtime.bigint() / 1_000n;

const [orders] = process.argv.slice(2);
if (orders !== undefined) await run(JSON.parse(orders) as TakerOrders);
