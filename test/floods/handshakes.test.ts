import { expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster, type ClusterOptions } from "../support/cluster.ts";
import { promised, timed } from "../support/promised.ts";
import { bound, crowd, enter, isFull, metricOf, type FlooderOptions } from "../support/flooder.ts";

const handshakes = { capacity: 60, refillPerSecond: 10 };
const flood = isFull ? 5_000 : 500;
const atOnce = 100;

async function startNodes(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = await startCluster({
    nodes: 1,
    ...options,
    file: { limits: { handshakes, http: { requests: 1_000_000 }, connectionsPerUser: 100_000 } },
  });
  onTestFinished(() => cluster.stop());
  return cluster;
}

interface Flood {
  let: number;
  refused: Map<string, number>;
  ms: number;
}

/** Everybody of the crowd tries once. */
async function floodWith(
  cluster: Cluster,
  count: number,
  optionsOf: (index: number) => FlooderOptions,
): Promise<Flood> {
  const { token } = await cluster.node(0).signIn("crowd");
  const begun = performance.now();
  const outcomes = await crowd(count, atOnce, (index) =>
    enter(cluster.node(index % cluster.nodes.length).url, token, optionsOf(index)),
  );
  const refused = new Map<string, number>();
  for (const one of outcomes) if (typeof one === "string") refused.set(one, (refused.get(one) ?? 0) + 1);
  return { let: outcomes.filter((one) => typeof one !== "string").length, refused, ms: performance.now() - begun };
}

test("sockets from one address are let in at the rate of the limit, and others come in meanwhile", timed, async () => {
  const cluster = await startNodes();
  const { token } = await cluster.node(0).signIn("innocent");
  const before = await metricOf(cluster.node(0).url, "gateway_refusals_total", { limiter: "handshakes" });

  const flooding = floodWith(cluster, flood, () => ({}));
  const waits: number[] = [];
  for (let visit = 0; visit < 5; visit += 1) {
    const begun = performance.now();
    const innocent = await enter(cluster.node(0).url, token, { localAddress: `127.0.0.${visit + 2}` });
    expect(innocent).not.toBeTypeOf("string");
    waits.push(performance.now() - begun);
  }
  const { let: letIn, refused, ms } = await flooding;

  expect(letIn).toBeGreaterThanOrEqual(handshakes.capacity);
  expect(letIn).toBeLessThanOrEqual(bound(handshakes, ms));
  expect([...refused.keys()]).toEqual(["rate_limited"]);
  expect(Math.max(...waits)).toBeLessThan(promised(2_000));
  const after = await metricOf(cluster.node(0).url, "gateway_refusals_total", { limiter: "handshakes" });
  expect(after - before).toBe(flood - letIn);
});

test("over two nodes an address has one limit", async () => {
  const cluster = await startNodes({ nodes: 2 });

  const { let: letIn, ms } = await floodWith(cluster, flood, () => ({}));

  expect(letIn).toBeGreaterThanOrEqual(handshakes.capacity * 0.9);
  expect(letIn).toBeLessThanOrEqual(bound(handshakes, ms));
});

test("whoever is no trusted proxy cannot come under other addresses", async () => {
  const cluster = await startNodes();
  const headersOf = (index: number): Record<string, string> => ({
    "X-Forwarded-For": `10.${index >> 8}.${index & 255}.1`,
    "X-Real-IP": `10.${index >> 8}.${index & 255}.2`,
    Forwarded: `for=10.${index >> 8}.${index & 255}.3`,
  });

  const { let: letIn, ms } = await floodWith(cluster, 300, (index) => ({ headers: headersOf(index) }));

  expect(letIn).toBeLessThanOrEqual(bound(handshakes, ms));
});

test.each([
  ["one network of v6", (index: number) => `2001:db8:0:1:${index.toString(16)}::1`],
  ["one v4 written in many ways", (index: number) => ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207"][index % 3]],
  ["one client behind addresses it made up itself", (index: number) => `10.9.8.${index % 256}, 192.0.2.8`],
])("behind a trusted proxy %s is one address", async (_, forwardedFor) => {
  const cluster = await startNodes({ env: { TRUSTED_PROXIES: "127.0.0.1" } });

  const { let: letIn, ms } = await floodWith(cluster, 300, (index) => ({
    headers: { "X-Forwarded-For": forwardedFor(index) ?? "" },
  }));

  expect(letIn).toBeGreaterThanOrEqual(handshakes.capacity);
  expect(letIn).toBeLessThanOrEqual(bound(handshakes, ms));
});

test("behind a trusted proxy clients of different addresses do not share a limit", async () => {
  const cluster = await startNodes({ env: { TRUSTED_PROXIES: "127.0.0.1" } });

  const { let: letIn, refused } = await floodWith(cluster, 300, (index) => ({
    headers: { "X-Forwarded-For": `192.0.2.${index % 250}` },
  }));

  expect({ letIn, refused: Object.fromEntries(refused) }).toEqual({ letIn: 300, refused: {} });
});
