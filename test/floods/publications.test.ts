import { expect, onTestFinished, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { bound, metricOf } from "../support/flooder.ts";
import { connectClient } from "../support/gateway.ts";

const limit = { capacity: 20, refillPerSecond: 5 };

test("a channel takes so many publications, whoever publishes through whichever node; others are not touched", async () => {
  const cluster = await startCluster({
    nodes: 2,
    file: {
      channels: { chat: { subscribe: "public", publish: "public" }, news: { subscribe: "public" } },
      limits: { publications: { chat: limit }, http: { requests: 1_000_000 } },
    },
  });
  onTestFinished(() => cluster.stop());
  const publication = (channel: string) => ({ channel, event: "said", data: 1 });
  const client = await connectClient(cluster.node(0).url, (await cluster.node(0).signIn("ada")).token);
  const begun = performance.now();

  const overHttp = await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      cluster.node(index % 2).call("POST", "/v1/publish", publication("chat:1")),
    ),
  );
  const byClient = (await Promise.all(
    Array.from({ length: 40 }, () => client.emitWithAck("publish", publication("chat:1"))),
  )) as { ok: boolean; error?: { code: string } }[];
  const ms = performance.now() - begun;

  const taken = overHttp.filter(({ status }) => status === 200).length + byClient.filter(({ ok }) => ok).length;
  expect(taken).toBeGreaterThanOrEqual(limit.capacity);
  expect(taken).toBeLessThanOrEqual(bound(limit, ms));
  const refused = overHttp.find(({ status }) => status !== 200)!;
  expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(byClient.filter(({ ok }) => !ok).map(({ error }) => error!.code)).toContain("rate_limited");
  for (const channel of ["chat:2", "news:1"]) {
    expect((await cluster.node(0).call("POST", "/v1/publish", publication(channel))).status).toBe(200);
  }
  const counted = await Promise.all(
    cluster.nodes.map(({ url }) => metricOf(url, "gateway_refusals_total", { limiter: "publications" })),
  );
  expect(counted[0]! + counted[1]!).toBe(100 - taken);
});
