import { expect, inject, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { mostAbove } from "./support/bound.ts";
import { ownConnection } from "./support/nodes.ts";
import { startTaker } from "./support/taker-process.ts";

const fiveMinutes = 300_000;
const patience = { refusals: 1_000_000, windowSeconds: 10 };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("three processes with clocks five minutes apart, one killed while busy, keep the bound", async () => {
  const rule = { capacity: 60, refillPerSecond: 40 };
  const limits = { messages: { ...rule, portion: { share: 0.5, lifeMs: 500 }, closeAfter: patience } };
  const common = { url: inject("redisUrl"), prefix: freshPrefix(), limits };
  const [first, second, third] = [
    startTaker({ ...common, skewMs: 0, burst: 3, pauseMs: 7 }),
    startTaker({ ...common, skewMs: fiveMinutes, burst: 67, pauseMs: 50 }),
    startTaker({ ...common, skewMs: -fiveMinutes, burst: 1, pauseMs: 13 }),
  ];
  await eventually(() => expect(third.passed.length * first.passed.length * second.passed.length).toBeGreaterThan(0));
  await sleep(700);
  await second.end("SIGKILL");
  await sleep(2_500);
  await Promise.all([first.end(), third.end()]);

  const passed = [first, second, third].flatMap((taker) => taker.passed);
  expect(mostAbove(passed, rule.refillPerSecond)).toBeLessThanOrEqual(rule.capacity * 1.01);
  const seconds = (Math.max(...passed.map((act) => act.heard)) - Math.min(...passed.map((act) => act.asked))) / 1_000;
  expect(passed.length).toBeGreaterThan(seconds * rule.refillPerSecond * 0.8);
});

test("a killed node loses its lease and nothing else", async () => {
  const prefix = freshPrefix();
  const portion = { share: 0.25, lifeMs: 1_000 };
  const limits = { messages: { capacity: 200, refillPerSecond: 0.001, portion, closeAfter: patience } };
  const common = { url: inject("redisUrl"), prefix, limits, skewMs: 0 };
  const admin = await ownConnection();
  const doomed = startTaker({ ...common, burst: 1, pauseMs: 10 });
  await eventually(() => expect(doomed.passed.length).toBeGreaterThan(40));
  doomed.process.kill("SIGSTOP");
  const leased = leasedTokens(await admin.get(createKeys(prefix).limiter("messages", "u")));
  await doomed.end("SIGKILL");

  const heir = startTaker({ ...common, burst: 1, pauseMs: 1 });
  await eventually(() => expect(doomed.passed.length + heir.passed.length).toBeGreaterThanOrEqual(200 - leased - 1));
  await sleep(200);
  await heir.end();

  expect(leased).toBeGreaterThan(0);
  expect(doomed.passed.length + heir.passed.length).toBeLessThanOrEqual(200);
});

/** Tokens out on leases, as the store has them on record. */
function leasedTokens(state: string | null): number {
  const [, , ...leases] = (state ?? "").split(":");
  const tokens = leases.filter((_, field) => field % 3 === 1);
  return tokens.reduce((sum, millionths) => sum + Number(millionths) / 1_000_000, 0);
}
