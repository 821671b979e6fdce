import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import type { Host } from "../../src/cli/host.ts";
import type { Report } from "../../src/loadtest/report/report.ts";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { metricOf } from "../support/flooder.ts";
import { startGateway } from "../support/gateway.ts";
import { timed } from "../support/promised.ts";
import { serveBelow } from "../support/serve-below.ts";
import { eventually } from "../support/world.ts";
import { loadTest, startLoadTest, startPlainServer } from "./world.ts";

const allKinds = "lean=1,stock=1,tidegate=1";
/** A run ends as soon as everything has arrived, however long it may take. */
const short = ["--duration", "2", "--settle", "60", "--connect-rate", "1000"];

/** Holds all that is published while a client is away, however long a busy machine keeps it there. */
const longHistory = { channels: { news: { subscribe: "public", history: { size: 10_000, ttlSeconds: 3_600 } } } };

/** Everybody is cut within some seconds, and away long enough to miss something. */
const cuts = [
  "--readers",
  "6",
  "--clients",
  "lean,stock",
  "--channels",
  "2",
  "--rate",
  "100",
  ...short,
  "--duration",
  "6",
];

describe("a load test of a gateway", () => {
  test("passes, and its numbers add up", async () => {
    const { url } = await startGateway();
    const words = ["fan-out", "--url", url, "--readers", "12", "--clients", allKinds, "--rate", "60"];

    const { code, out, report, html } = await loadTest([...words, ...short, "--workers", "2"]);

    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("fan-out: passed") });
    const { publications, verdict, latency, timeline, connections, nodes } = report as Report;
    expect(publications.confirmed).toBeGreaterThan(60);
    expect(publications).toMatchObject({ published: publications.confirmed, unconfirmed: {} });
    expect(verdict).toMatchObject({
      subscriptions: 12,
      neverSubscribed: 0,
      lost: 0,
      repeated: 0,
      reordered: 0,
      gaps: 0,
    });
    expect(verdict.expected).toBe(12 * publications.confirmed);
    expect(verdict.arrived).toBe(verdict.expected);
    expect(publications.delivered).toBe(verdict.expected);
    expect(latency.live.count + latency.late.count).toBe(verdict.expected);
    expect(latency.live.p50).toBeLessThanOrEqual(latency.live.p99);
    expect(sumOf(timeline.map(({ counts }) => counts["delivered"] ?? 0))).toBe(publications.delivered);
    expect(sumOf(timeline.map(({ counts }) => counts["published"] ?? 0))).toBe(publications.published);
    expect(connections).toMatchObject({ reading: 12, lost: {}, refused: {} });
    expect(nodes[0]).toMatchObject({ connectionsMax: 12 });
    expect(report?.feed).toEqual({ read: publications.confirmed, needed: publications.confirmed, ratio: 1 });
    expect(JSON.stringify(report)).not.toContain("test-key");
    expect(html).toContain("<h1>fan-out");
  });

  test("keeps the path of the address, below which a proxy may serve the gateway", async () => {
    const { url } = await startGateway();
    const proxied = await serveBelow("/realtime", url);
    const words = ["fan-out", "--url", `${proxied}/realtime/`, "--readers", "3", "--clients", allKinds, "--rate", "10"];

    const { code, report } = await loadTest([...words, ...short]);

    expect({ code, nodes: report?.nodes.length }).toEqual({ code: 0, nodes: 1 });
  });

  test("is the same for the same seed: as many publications into the same channels", async () => {
    const { url } = await startGateway();
    const words = ["channels", "--url", url, "--readers", "4", "--channels", "8", "--rate", "60", ...short];

    // One after the other: three at once would take each other's time.
    const runs = [];
    for (const seed of [7, 7, 8]) runs.push(await loadTest([...words, "--seed", `${seed}`]));
    const [one, same, other] = runs.map(({ report }) => [report?.publications.confirmed, report?.verdict.expected]);

    expect(same).toEqual(one);
    expect(other).not.toEqual(one);
  });

  test("fails if a threshold is exceeded", async () => {
    const { url } = await startGateway();

    const { code, out, report } = await loadTest([
      "fan-out",
      "--url",
      url,
      "--readers",
      "2",
      ...short,
      "--max-p50",
      "0",
    ]);

    expect(code).toBe(1);
    expect(out).toContain("failed        p50Ms is");
    expect(report?.passed).toBe(false);
    expect(report?.checks).toContainEqual({ name: "p50Ms", limit: 0, value: report?.latency.live.p50, passed: false });
  });

  test("fails if nothing can be published", async () => {
    const { url } = await startGateway({ file: { channels: { quiet: { subscribe: "public" } } } });

    const { code, out } = await loadTest(["fan-out", "--url", url, "--readers", "2", ...short]);

    expect(code).toBe(1);
    expect(out).toContain("no publication was confirmed: unknown_channel");
    expect(out).toContain("neverSubscribed is 2, at most 0");
  });

  test("follows orders and boards to the end", async () => {
    const { url } = await startGateway();

    const [orders, boards] = await Promise.all([
      loadTest(["orders", "--url", url, "--readers", "6", "--rate", "60", ...short]),
      // Twice as long as the ticks that are asked for below take where nobody stands still.
      loadTest(["leaderboard", "--url", url, "--readers", "6", "--rate", "200", ...short, "--duration", "4"]),
    ]);

    expect(orders.code).toBe(0);
    expect(orders.report?.verdict.arrived).toBe(orders.report?.publications.confirmed);
    expect(boards.code).toBe(0);
    expect(boards.report?.verdict).toMatchObject({ boards: 6, wrongBoards: 0, gaps: 0 });
    expect(boards.report?.latency.live.count).toBeGreaterThan(50);
  });

  test("disconnects every client of every kind, and no reader misses anything", async () => {
    const { url } = await startGateway({ file: longHistory });

    const { code, report } = await loadTest([
      "jitter",
      "--url",
      url,
      ...cuts,
      "--readers",
      "12",
      "--clients",
      allKinds,
    ]);

    expect(report?.connections.cut).toBeGreaterThan(1);
    expect(report?.connections).toMatchObject({ reading: 12 });
    expect(report?.connections.reconnect.count).toBe(report?.connections.cut);
    expect(report?.verdict).toMatchObject({ lost: 0, reported: 0, repeated: 0, reordered: 0, gaps: 0 });
    expect(code).toBe(0);
  });

  test("drains one node and kills another, and no reader misses anything", async () => {
    const { nodes } = await startClusterHere();
    const [first, second] = nodes;
    const scenario = {
      name: "rough",
      readers: { count: 12, connectPerSecond: 1_000, clients: { lean: 1, stock: 1, tidegate: 1 } },
      channels: { count: 3 },
      load: { type: "publications", perSecond: 60 },
      durationSeconds: 6,
      settleSeconds: 60,
      faults: [
        { do: "drain", atSeconds: 1 },
        { do: "kill", atSeconds: 3 },
      ],
      thresholds: { reported: 0, disconnected: 0 },
    };
    const file = join(folder(), "rough.json");
    writeFileSync(file, JSON.stringify(scenario));
    const ends = ["--drain-pid", `${first?.pid}`, "--kill-command", `kill -9 ${second?.pid}`];

    const { code, out, report } = await loadTest([file, "--url", ...nodes.map(({ url }) => url), ...ends]);

    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("rough: passed") });
    expect(report?.verdict).toMatchObject({
      neverSubscribed: 0,
      lost: 0,
      reported: 0,
      repeated: 0,
      reordered: 0,
      gaps: 0,
    });
    expect(report?.connections.reconnect.count).toBeGreaterThanOrEqual(8);
    expect(report?.events.map(({ what }) => what)).toEqual([
      "load begins",
      `drain: SIGTERM to process ${first?.pid}`,
      `kill: kill -9 ${second?.pid} (exit 0)`,
      "load ends",
    ]);
    // The drained one may be a little later than the run.
    await Promise.all([first?.ended, second?.ended]);
    expect(report?.nodes.map(({ name }) => name).toSorted()).toEqual(["node-1", "node-2", "node-3"]);
  });

  // What has not arrived a second after the interrupt counts as lost.
  test("writes its report when interrupted", timed, async () => {
    const { url } = await startGateway();
    const run = startLoadTest([
      "fan-out",
      "--url",
      url,
      "--readers",
      "4",
      "--duration",
      "60",
      "--connect-rate",
      "1000",
    ]);
    await eventually(() => expect(run.said()).toContain("load begins"));
    await eventually(async () => expect(await metricOf(url, "gateway_deliveries_total")).toBeGreaterThan(60));

    run.child.kill("SIGINT");
    const { code, out, report, html } = await run.ended;

    expect(code).toBe(130);
    expect(out).toContain("fan-out: interrupted");
    expect(report).toMatchObject({ wasInterrupted: true, passed: false });
    expect(report?.verdict.expected).toBeGreaterThan(10);
    expect(report?.verdict.lost).toBe(0);
    expect(html).toContain("The run was interrupted");
  });

  test("writes a self-contained page that escapes its input", async () => {
    const { url } = await startGateway();
    const description = "<script>alert(1)</script> <b title='x'>";
    const file = join(folder(), "mine.json");
    writeFileSync(file, JSON.stringify({ name: "mine", description, load: { type: "none" } }));

    const { html = "" } = await loadTest([file, "--url", url, "--readers", "2", ...short]);

    expect(html).toContain("<p>&lt;script&gt;alert(1)&lt;/script&gt; &lt;b title=&#39;x&#39;&gt;</p>");
    expect(html).not.toContain("<script>alert(1)");
    expect(html.match(/\b(src|href)=|url\(|@import/g)).toBeNull();
  });
});

describe("a load test of a plain Socket.IO server", () => {
  test("passes without faults, and monitors the given process", async () => {
    const { url, pid } = await startPlainServer();
    const words = ["fan-out", "--target", "plain", "--url", url, "--readers", "8", "--clients", "lean=1,stock=1"];

    const { code, report } = await loadTest([...words, ...short, "--node-pid", `${pid}`]);

    expect(code).toBe(0);
    expect(report?.verdict.arrived).toBe(8 * (report?.publications.confirmed ?? 0));
    expect(report?.nodes).toMatchObject([{ name: `pid ${pid}` }]);
    expect(report?.nodes[0]?.memoryMax).toBeGreaterThan(10_000_000);
  });

  test("counts what Socket.IO's own recovery replays, for clients of either kind", async () => {
    const { url } = await startPlainServer();

    const { report } = await loadTest(["jitter", "--target", "plain", "--url", url, ...cuts]);

    expect(report?.connections.reconnect.count).toBeGreaterThan(0);
    expect(report?.latency.late.count).toBeGreaterThan(0);
    expect(report?.verdict).toMatchObject({ lost: 0, repeated: 0, reordered: 0 });
  });

  test("finds what such a server loses without recovery", async () => {
    const { url } = await startPlainServer(inject("redisUrl"));

    const words = ["jitter", "--target", "plain", "--url", url, ...cuts, "--settle", "5"];
    const { code, out, report } = await loadTest(words);

    expect(code).toBe(1);
    expect(out).toContain("failed        lost is");
    expect(report?.verdict.lost).toBeGreaterThan(10);
    expect(report?.verdict).toMatchObject({ reported: 0, repeated: 0, reordered: 0 });
    expect(report?.verdict.arrived).toBe((report?.verdict.expected ?? 0) - (report?.verdict.lost ?? 0));
    expect(report?.verdict.examples[0]).toMatch(/^reader \d+ \((lean|stock)\) news:lab-\w+-\d: \d+ lost/);
  });
});

describe("the command line", () => {
  test.each([
    ["a scenario that is none", ["fanout"], "is neither a file nor a built-in scenario"],
    ["a setting the scenario cannot have", ["fan-out", "--readers", "0"], "fan-out: readers.count: "],
    ["an option it does not have", ["--reader", "3"], "Did you mean --readers?"],
    ["a number that is none", ["--duration", "long"], "must be a number"],
    ["an address that is none", ["--url", "localhost:3000"], "--url: localhost:3000 is not a URL"],
    ["a folder that cannot be written", ["--report", "/dev/null/reports"], "--report: "],
    ["the own process group to kill", ["kill", "--kill-pid", "0"], "must be the id of a process"],
    ["a node to kill that nobody named", ["kill"], "pass --kill-pid or --kill-command"],
    ["orders of a plain server", ["orders", "--target", "plain"], "a plain server does not support orders"],
  ])("refuses %s with exit code 64", async (_, words, complaint) => {
    const complaints: string[] = [];
    const unused = () => undefined;
    const host: Host = {
      env: {},
      isTerminal: false,
      print: unused,
      printError: (text) => complaints.push(text),
      onSignal: unused,
      onOutputClosed: unused,
      onStrayError: unused,
      exit: unused,
    };

    expect(await runCommandLine(["loadtest", ...words], host)).toBe(64);
    expect(complaints.join("\n")).toContain(complaint);
  });

  test("fails with one clear line if no gateway answers or the key is wrong", async () => {
    const { url } = await startGateway();

    const silent = await loadTest(["fan-out", "--url", "http://127.0.0.1:1"]);
    const wrong = await loadTest(["fan-out", "--url", url, "--api-key", "another"]);

    expect(silent).toMatchObject({ code: 1, err: "no gateway answered; is it running? (see --url)\n" });
    expect(wrong).toMatchObject({ code: 1, err: "the gateway refused the API key (see --api-key)\n" });
  });

  test("shows the scenarios, and one of them with what the command line changes", async () => {
    const list = await loadTest(["--list"]);
    const shown = await loadTest(["jitter", "--show", "--readers", "9", "--max-p99", "50"]);

    expect(list.out).toMatch(/^reconnect-storm +All clients/m);
    expect(JSON.parse(shown.out)).toMatchObject({ readers: { count: 9 }, thresholds: { p99Ms: 50 } });
  });

  test("runs a file, with given tokens", async () => {
    const gateway = await startGateway();
    const place = folder();
    const tokens = [(await gateway.signIn("ada")).token, (await gateway.signIn("bob")).token];
    writeFileSync(join(place, "tokens"), `${tokens.join("\n")}\n`);
    const scenario = { name: "mine", readers: { count: 4 }, load: { type: "publications", perSecond: 20 } };
    writeFileSync(join(place, "mine.json"), JSON.stringify({ ...scenario, durationSeconds: 2 }));

    const words = [join(place, "mine.json"), "--url", gateway.url, "--token-file", join(place, "tokens")];
    const { code, report } = await loadTest(words);

    expect(code).toBe(0);
    expect(report?.verdict).toMatchObject({ subscriptions: 4, neverSubscribed: 0, lost: 0 });
  });
});

async function startClusterHere(): Promise<Cluster> {
  const cluster = await startCluster({ file: longHistory });
  onTestFinished(() => cluster.stop());
  return cluster;
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "tidegate-scenario-"));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
