/**
 * What OpenTelemetry costs a node: CPU per publication over HTTP with one subscriber (four spans: call, command, append,
 * deliver), without the SDK, with the SDK and nothing sampled, with a hundredth and with everything sampled. Four nodes on one
 * Redis take turns in each round; medians of the ratios to the node without the SDK in the same round.
 *
 *   node bench/tracing.ts [publications a slice] [rounds]      writes bench/results/tracing.md
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { needs } from "../scripts/needs.ts";
import { createSpans } from "../src/runtime/spans.ts";
import { Load } from "./support/load.ts";
import { cpuMicros, machine, median, skip } from "./support/machine.ts";
import { startTidegate, type Tidegate } from "./support/measured-servers.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";

const publications = Number(process.argv[2] ?? 1_000);
const rounds = Number(process.argv[3] ?? 5);
const atOnce = 32;

const program = compiled("load");
if (program === undefined) skip("tracing", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("tracing", "there is no redis-server");
else await run(program);

interface Variant {
  name: string;
  node: Tidegate;
  /** Only this node has a subscriber of it. */
  channel: string;
  /** µs per publication, by round. */
  costs: number[];
}

async function run(loadProgram: string): Promise<void> {
  const collector = await startCollector();
  const variants = await startVariants(collector.url);
  const loads: Load[] = [];
  try {
    for (const { node, channel } of variants) {
      const auth = (await node.signIn(2)).map((token) => JSON.stringify({ token }));
      const subscribe = `421["subscribe",{"channel":"${channel}"}]`;
      loads.push(await Load.connect(loadProgram, node, 1, { mode: "sio", auth, subscribe }));
    }
    for (let round = -1; round < rounds; round++)
      for (const { node, channel, costs } of variants) {
        const cost = await costOf(node, channel);
        // The first round is a warm-up.
        if (round >= 0) costs.push(cost);
      }
    writeResult("tracing", await report(variants, collector.spanCount));
  } finally {
    for (const load of loads) await load.stop();
    for (const { node } of variants.toReversed()) await node.stop();
    collector.close();
  }
}

async function startVariants(endpoint: string): Promise<Variant[]> {
  const exporting = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" };
  const ratio = (share: string) => ({
    ...exporting,
    OTEL_TRACES_SAMPLER: "traceidratio",
    OTEL_TRACES_SAMPLER_ARG: share,
  });
  const kinds: [string, Record<string, string>][] = [
    ["off: no endpoint", {}],
    ["SDK, nothing sampled", ratio("0")],
    ["SDK, 1 % sampled", ratio("0.01")],
    ["SDK, everything sampled", ratio("1")],
  ];
  const variants: Variant[] = [];
  for (const [name, env] of kinds) {
    const node = await startTidegate({ name, env, beside: variants[0]?.node });
    variants.push({ name, node, channel: `bench:${variants.length}`, costs: [] });
  }
  return variants;
}

async function costOf(node: Tidegate, channel: string): Promise<number> {
  const before = cpuMicros(node.pid);
  let left = publications;
  const publish = async (): Promise<void> => {
    while (left-- > 0) await node.call("/v1/publish", { channel, event: "said", data: { text: "x".repeat(100) } });
  };
  await Promise.all(Array.from({ length: atOnce }, publish));
  return (cpuMicros(node.pid) - before) / publications;
}

async function report(variants: readonly Variant[], spanCount: () => number): Promise<string> {
  const [off] = variants as [Variant];
  const rows = variants.map(({ name, costs }) => [
    name,
    median(costs.map((cost, round) => cost / (off.costs[round] as number))).toFixed(2),
    median(costs).toFixed(1),
  ]);
  return [
    "# Tracing",
    "",
    `${machine()}; ${publications} publications over HTTP a slice, ${atOnce} at once, to one subscriber, ${rounds} rounds;`,
    `${spanCount()} spans were exported to a collector on the load's core.`,
    "",
    table(["", "÷ off", "µs CPU a publication"], rows),
    "",
    `Without an endpoint each of the four places costs ${(await nanosecondsOff()).toFixed(0)} ns.`,
  ].join("\n");
}

/** What a span costs that nobody collects, beyond the call that it is around. */
async function nanosecondsOff(): Promise<number> {
  const spans = createSpans({ "tidegate.node": "bench" });
  const calls = 1_000_000;
  const act = async (): Promise<void> => undefined;
  const timeOf = async (call: () => Promise<void>): Promise<number> => {
    const startedAt = performance.now();
    for (let i = 0; i < calls; i++) await call();
    return ((performance.now() - startedAt) * 1_000_000) / calls;
  };
  const withSpan = (): Promise<void> =>
    spans.run("append", { attributes: { "messaging.destination.name": "bench:0" } }, act);
  // The first of each is a warm-up.
  await timeOf(act);
  await timeOf(withSpan);
  return Math.max((await timeOf(withSpan)) - (await timeOf(act)), 0);
}

/** Takes spans and counts them. */
async function startCollector() {
  let spans = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      spans +=
        Buffer.concat(chunks)
          .toString()
          .match(/"spanId"/g)?.length ?? 0;
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spanCount: () => spans, close: () => void server.close() };
}
