import { expect, test } from "vitest";
import { createHttpLimit } from "../../src/gateway/http-limit.ts";
import { createFence } from "../../src/cluster/fence.ts";
import { FakeClock } from "../support/fake-clock.ts";

const leaseMs = 2_000;
const allowed = { allowed: true, remaining: 9, retryAfterMs: 0, resetAt: 0, reason: undefined };

/** A node whose lease stands, and whose limit is answered after so long. */
function limitAfter(answerMs: number) {
  const clock = new FakeClock();
  const fence = createFence(clock, leaseMs);
  fence.renew(clock.monotonic());
  const asked: string[] = [];
  const http = async (apiKey: string) => {
    asked.push(apiKey);
    await clock.advance(answerMs);
    return allowed;
  };
  return {
    clock,
    asked,
    limit: createHttpLimit({ throttling: { http }, fence, clock }, { requests: 10, windowSeconds: 1 }),
  };
}

test("a call is let through while the lease stands", async () => {
  await expect(limitAfter(leaseMs - 1).limit("backend")).resolves.toMatchObject({ allowed: true, limit: 10 });
});

test("a call whose limit waited until the lease had ended is refused, for it would wait again", async () => {
  await expect(limitAfter(leaseMs).limit("backend")).rejects.toMatchObject({
    code: "unavailable",
    retryAfterMs: 1_000,
  });
});

test("a call is refused unasked once the lease has ended", async () => {
  const { clock, asked, limit } = limitAfter(0);
  await clock.advance(leaseMs);

  await expect(limit("backend")).rejects.toMatchObject({ code: "unavailable" });
  expect(asked).toEqual([]);
});
