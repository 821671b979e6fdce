import { describe, expect, it } from "vitest";
import type { HttpAllowance } from "../../src/http/rate-limit.ts";
import { publishBody, startHttp } from "./support.ts";

const allowance: HttpAllowance = {
  allowed: true,
  remaining: 59,
  limit: 60,
  windowSeconds: 60,
  resetMs: 12_345,
  retryAfterMs: 0,
};

describe("a limit per key", () => {
  it("is told with every answer", async () => {
    const asked: string[] = [];
    const limit = (apiKey: string) => (asked.push(apiKey), allowance);
    const { call } = await startHttp({ limit });

    const answers = [await call("/v1/publish", { body: publishBody }), await call("/v1/nothing")];

    for (const { headers } of answers) {
      expect(headers.get("ratelimit-policy")).toBe('"http";q=60;w=60');
      expect(headers.get("ratelimit")).toBe('"http";r=59;t=13');
    }
    expect(asked).toEqual(["tests", "tests"]);
  });

  it("never says that it takes longer than its window", async () => {
    const { call } = await startHttp({ limit: () => ({ ...allowance, resetMs: 60_600 }) });

    const { headers } = await call("/v1/publish", { body: publishBody });

    expect(headers.get("ratelimit")).toBe('"http";r=59;t=60');
  });

  it("refuses what is over it, and says when to come back", async () => {
    const limit = () => Promise.resolve({ ...allowance, allowed: false, remaining: 0, retryAfterMs: 1_500.4 });
    const { call, channels, metrics } = await startHttp({ limit });

    const answer = await call("/v1/publish", { body: publishBody });

    expect(answer.json).toMatchObject({ code: "rate_limited", status: 429, retryAfterMs: 1_501 });
    expect(answer.headers.get("retry-after")).toBe("2");
    expect(answer.headers.get("ratelimit")).toBe('"http";r=0;t=13');
    expect(channels.requests).toEqual([]);
    expect((await metrics.refusals.get()).values).toMatchObject([
      { labels: { code: "rate_limited", limiter: "http" } },
    ]);
  });

  it("is not asked for strangers", async () => {
    let asked = 0;
    const { call } = await startHttp({ limit: () => ((asked += 1), allowance) });

    const answer = await call("/v1/publish", { body: publishBody, headers: { authorization: "Bearer wrong" } });

    expect(answer.status).toBe(401);
    expect(answer.headers.has("ratelimit")).toBe(false);
    expect(asked).toBe(0);
  });

  it("that cannot be asked is an answer too", async () => {
    const { call } = await startHttp({ limit: () => Promise.reject(new Error("Connection is closed.")) });

    expect((await call("/v1/publish", { body: publishBody })).json).toMatchObject({ code: "unavailable", status: 503 });
  });
});
