/**
 * CPU of a node per delivery, over that of a C program that does nothing but `write`: one publisher, 1,000 readers, 128
 * bytes of JSON. All servers are up; in each round every one has a slice of each scenario in turn, and medians of the
 * rounds' ratios count. `node bench/fan-out.ts [rounds] [readers]`
 */
import { needs } from "../scripts/needs.ts";
import { Load, type PublishRate, type Slice, type ClientScript } from "./support/load.ts";
import { machine, median, skip } from "./support/machine.ts";
import { compiled, compiledAccelerator } from "./support/native.ts";
import { startNchan } from "./support/nchan.ts";
import {
  startBareWs,
  startStock,
  startServer,
  startTidegate,
  type MeasuredServer,
  type Tidegate,
} from "./support/measured-servers.ts";
import { table, writeResult } from "./support/results.ts";

const rounds = Number(process.argv[2] ?? 15);
const readers = Number(process.argv[3] ?? 1_000);
const sliceMs = 600;
const warmUpMs = 250;

const scenarios: Record<string, PublishRate> = {
  "one a tick": { burst: 1, burstsPerSecond: 50, window: 0 },
  saturated: { burst: 1, burstsPerSecond: 0, window: 16 },
  "bursts of 10": { burst: 10, burstsPerSecond: 5, window: 0 },
};

interface Contender {
  server: MeasuredServer;
  load: Load;
  slices: Record<string, Slice[]>;
}

const program = compiled("load");
if (program === undefined) skip("the fan-out", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("the fan-out", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const contenders: Contender[] = [];
  try {
    for (const [server, script] of await begin()) {
      const load = await Load.connect(loadProgram, server, readers, script);
      contenders.push({ server, load, slices: Object.fromEntries(Object.keys(scenarios).map((name) => [name, []])) });
    }
    // The first round is a warm-up.
    for (let round = -1; round < rounds; round++) await runRound(contenders, round >= 0);
    writeResult("fan-out", report(contenders));
  } finally {
    for (const { load, server } of contenders) {
      await load.stop();
      await server.stop();
    }
  }
}

async function begin(): Promise<[MeasuredServer, ClientScript][]> {
  const floor = await startServer("C floor, `write` alone", [compiled("floor") as string, "PORT"]);
  const subscribe = '421["subscribe",{"channel":"bench:0"}]';
  const stock: ClientScript = {
    mode: "sio",
    auth: Array.from({ length: readers + 1 }, () => ""),
    subscribe,
    head: '42["publish",',
    tail: "]",
  };
  const tidegate = await startTidegate();
  const accelerated = await startTidegate({ name: "**Tidegate, accelerated**", accelerator: compiledAccelerator() });
  const nchan = await startNchan();
  if (nchan === undefined) skip("nchan", "Debian's libnginx-mod-nchan is not installed");
  return [
    [floor, { mode: "ws" }],
    [tidegate, await scriptOf(tidegate, subscribe)],
    [accelerated, await scriptOf(accelerated, subscribe)],
    [await startStock(), stock],
    [await startStock("stock, the same publications", "publications"), stock],
    [await startBareWs(), { mode: "ws" }],
    ...(nchan === undefined ? [] : [[nchan, { mode: "ws" }] as [MeasuredServer, ClientScript]]),
  ];
}

/** Clients publish to the node, which publishes to Redis and receives it from there, as in production. */
async function scriptOf(tidegate: Tidegate, subscribe: string): Promise<ClientScript> {
  const tokens = await tidegate.signIn(readers + 1);
  return {
    mode: "sio",
    auth: tokens.map((token) => JSON.stringify({ token })),
    subscribe,
    head: '422["publish",{"channel":"bench:0","event":"tick","data":',
    tail: "}]",
  };
}

async function runRound(contenders: readonly Contender[], counts: boolean): Promise<void> {
  for (const [scenario, pace] of Object.entries(scenarios)) {
    for (const { server, load, slices } of contenders) {
      // After some idle seconds caches are cold, and the gateway has to lease tokens again.
      await load.slice(pace, warmUpMs);
      const slice = await load.slice(pace, sliceMs);
      if (slice.missing !== 0) throw new Error(`${server.name}: ${slice.missing} did not arrive`);
      if (counts) slices[scenario]?.push(slice);
    }
  }
}

function report(contenders: readonly Contender[]): string {
  const names = Object.keys(scenarios);
  const [floor] = contenders as [Contender];
  const medianOf = (contender: Contender, scenario: string, of: (slice: Slice) => number): number =>
    median(slicesOf(contender, scenario).map(of));
  const ratios = contenders.map((contender) => [
    contender.server.name,
    ...names.map((name) => ratioOf(contender, floor, name).toFixed(2)),
    `${(medianOf(contender, "saturated", ({ delivered, seconds }) => delivered / seconds) / 1_000).toFixed(0)} k`,
  ]);
  const details = contenders.map((contender) => [
    contender.server.name,
    ...names.map((name) => median(costs(contender, name)).toFixed(1)),
    ...names.map((name) => medianOf(contender, name, ({ delivered, reads }) => delivered / reads).toFixed(1)),
    ...names.map((name) => medianOf(contender, name, ({ p99 }) => p99).toFixed(1)),
  ]);
  const each = (what: string): string[] => names.map((name) => `${what}, ${name}`);
  return [
    `# Fan-out`,
    "",
    `${machine()}; ${readers} readers, 128 bytes of JSON, ${rounds} rounds of ${sliceMs} ms a scenario, all servers in turn.`,
    "CPU (user + system) of the server's whole process per delivery, over the floor's: median of the rounds' ratios.",
    "Tidegate runs with authentication, sessions, history, limits and queue budgets on; its CPU includes taking the",
    "publication from its client, giving it to Redis and hearing it from there. Redis itself is not counted. Accelerated",
    "means with the optional part in C that `npm run accelerate` compiles.",
    "",
    table(["", ...names, "deliveries/s, saturated"], ratios),
    "",
    "The same in microseconds, how many publications a reader got in one read, and from publishing to reading, p99 in ms:",
    "",
    table(["", ...each("µs"), ...each("a read"), ...each("ms")], details),
  ].join("\n");
}

function slicesOf({ slices }: Contender, scenario: string): Slice[] {
  return slices[scenario] ?? [];
}

function costs(contender: Contender, scenario: string): number[] {
  return slicesOf(contender, scenario).map(({ cpu, delivered }) => cpu / delivered);
}

function ratioOf(contender: Contender, floor: Contender, scenario: string): number {
  const floors = costs(floor, scenario);
  return median(costs(contender, scenario).map((cost, round) => cost / (floors[round] as number)));
}
