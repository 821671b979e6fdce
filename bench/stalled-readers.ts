/**
 * What 1,000 readers that stop reading cost the node and the readers that go on; a stock Socket.IO server under the
 * same.
 *
 * Before, everybody reads; then the thousand stop, and 50 others go on. Before a node sees that anybody is slow the
 * kernel holds something for each; with the loopback's segments so much that a thousand take all the memory Linux gives
 * to TCP, and everybody on the machine waits. So the readers take segments of 9 kB frames: some 0.8 MB each. Stock
 * knows no bound but its pings, which end a connection after 45 s: it is looked at for 30 s, or until it has 1 GB.
 *
 *   node bench/stalled-readers.ts [rounds] [readers that stop] [seconds]      writes bench/results/stalled-readers.md
 */
import { needs } from "../scripts/needs.ts";
import { Load, type PublishRate, type Slice, type ClientScript } from "./support/load.ts";
import { machine, median, residentBytes, skip } from "./support/machine.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";
import { startStock, startTidegate, type MeasuredServer } from "./support/measured-servers.ts";

const rounds = Number(process.argv[2] ?? 3);
const stopping = Number(process.argv[3] ?? 1_000);
const seconds = Number(process.argv[4] ?? 14);
const goingOn = 50;
const pace: PublishRate = { burst: 1, burstsPerSecond: 25, window: -1 };
const sliceMs = 2_000;
const pollEveryMs = 400;
const maxBytes = 1_024 ** 3;
const megabyte = 1_024 ** 2;

const wire = { payloadBytes: 16_000, segmentBytes: 8_948 };
const subscribe = '421["subscribe",{"channel":"bench:0"}]';

interface Contender {
  server: MeasuredServer;
  /** How long it is looked at after they stopped. */
  seconds: number;
  script(readers: number): Promise<ClientScript>;
  /** How many connections it closed as slow consumers until now. */
  closed(): Promise<number>;
}

interface Outcome {
  before: Slice[];
  after: Slice[];
  /** Most beyond the start. */
  grownBytes: number;
  /** Connections closed by name, and until the last of them. */
  closed: number;
  closedMs: number;
}

const program = compiled("load");
if (program === undefined) skip("stalled readers", "there is no C compiler for their client");
else if (!needs.redis.isInstalled()) skip("stalled readers", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const outcomes = new Map<string, Outcome[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const begin of [beginTidegate, beginStock]) {
      const contender = await begin();
      try {
        const { name } = contender.server;
        outcomes.set(name, [...(outcomes.get(name) ?? []), await measure(contender, loadProgram)]);
      } finally {
        await contender.server.stop();
      }
    }
  }
  writeResult("stalled-readers", report(outcomes));
}

async function beginTidegate(): Promise<Contender> {
  const server = await startTidegate();
  const head = '422["publish",{"channel":"bench:0","event":"tick","data":';
  return {
    server,
    seconds,
    async script(readers) {
      const auth = (await server.signIn(readers + 1)).map((token) => JSON.stringify({ token }));
      return { mode: "sio", auth, subscribe, head, tail: "}]", ...wire };
    },
    async closed() {
      const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
      return Number(/^gateway_closings_total\{[^}]*code="slow_consumer"[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0);
    },
  };
}

async function beginStock(): Promise<Contender> {
  const server = await startStock("stock Socket.IO 4.8.4", "publications");
  const script: ClientScript = { mode: "sio", subscribe, head: '42["publish",', tail: "]", ...wire };
  return {
    server,
    seconds: 30,
    script: async (readers) => ({ ...script, auth: Array.from({ length: readers + 1 }, () => "") }),
    closed: async () => 0,
  };
}

async function measure({ server, script, closed, ...contender }: Contender, loadProgram: string): Promise<Outcome> {
  const stalling = await Load.connect(loadProgram, server, stopping, await script(stopping));
  const reading = await Load.connect(loadProgram, server, goingOn, await script(goingOn));
  try {
    await slices(reading, 4_000);
    const before = await slices(reading, seconds * 1_000);
    const watch = watchOf(server, closed);
    await stalling.stall();
    const after = await slices(reading, contender.seconds * 1_000, () => residentBytes(server.pid) < maxBytes);
    return { before, after, ...(await watch.end()) };
  } finally {
    await stalling.stop();
    await reading.stop();
  }
}

async function slices(load: Load, milliseconds: number, mayGoOn = (): boolean => true): Promise<Slice[]> {
  const all: Slice[] = [];
  for (let ms = 0; ms < milliseconds && mayGoOn(); ms += sliceMs) all.push(await load.slice(pace, sliceMs));
  return all;
}

/** Looks at the memory and at who was closed until it is ended. */
function watchOf({ pid }: MeasuredServer, closed: Contender["closed"]) {
  const begun = performance.now();
  const start = residentBytes(pid);
  const seen = { grownBytes: 0, closed: 0, closedMs: 0 };
  const look = async (): Promise<void> => {
    seen.grownBytes = Math.max(seen.grownBytes, residentBytes(pid) - start);
    const count = await closed();
    if (count > seen.closed) Object.assign(seen, { closed: count, closedMs: performance.now() - begun });
  };
  let last = Promise.resolve();
  const timer = setInterval(() => void (last = last.then(look)), pollEveryMs);
  return {
    async end() {
      clearInterval(timer);
      await last;
      return seen;
    },
  };
}

function report(outcomes: ReadonlyMap<string, Outcome[]>): string {
  const rows = [...outcomes].map(([name, all]) => {
    const of = (figure: (outcome: Outcome) => number): number => median(all.map(figure));
    const p99 = (slices: readonly Slice[]): number => median(slices.map((slice) => slice.p99));
    const missing = of(({ after }) =>
      Math.max(
        0,
        after.reduce((sum, slice) => sum + slice.missing, 0),
      ),
    );
    return [
      name,
      `${(of(({ grownBytes }) => grownBytes) / megabyte).toFixed(0)} MB`,
      of(({ before }) => p99(before)).toFixed(1),
      of(({ after }) => p99(after)).toFixed(1),
      of(({ before, after }) => p99(after) / p99(before)).toFixed(2),
      `${missing}`,
      `${of(({ closed }) => closed)}`,
      of(({ closed }) => closed) === 0 ? "–" : `${(of(({ closedMs }) => closedMs) / 1_000).toFixed(1)} s`,
    ];
  });
  return [
    "# Readers that stop",
    "",
    `${machine()}; ${stopping} readers stop, ${goingOn} go on; ${pace.burstsPerSecond} publications a second of ` +
      `${wire.payloadBytes} bytes; ${rounds} rounds, medians; ${seconds} s before and after, ` +
      "stock 30 s after. Bytes of a publication are shared: what grows is what each reader's queue holds beside them.",
    "",
    table(
      [
        "",
        "memory, most beyond the start",
        "p99 ms of those who go on, before",
        "after",
        "ratio",
        "not delivered to them",
        "closed as `slow_consumer`",
        "the last of them after",
      ],
      rows,
    ),
  ].join("\n");
}
