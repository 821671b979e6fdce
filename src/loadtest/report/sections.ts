import type { Percentiles } from "../histogram.ts";
import { markup, table, type Markup } from "./markup.ts";
import type { Report } from "./report.ts";
import { shareOf, wordOf } from "./summary.ts";

export function header(report: Report): Markup {
  const { plan, startedAt, endedAt, version } = report;
  const { name, description = "" } = plan.scenario;
  const facts = [
    new Date(startedAt).toISOString().slice(0, 19).replace("T", " ") + " UTC",
    `${Math.round((endedAt - startedAt) / 1_000)} s`,
    `${plan.target} at ${plan.addresses.join(", ")}`,
    `seed ${plan.seed}`,
    `Tidegate ${version}`,
  ].map((fact) => markup`<li>${fact}</li>`);
  return markup`<header>
    <h1>${name} <span class="word ${report.passed ? "passed" : "failed"}">${wordOf(report)}</span></h1>
    <p>${description}</p>
    <ul class="facts">${facts}</ul>
  </header>`;
}

export function cards({ verdict, latency, publications, connections }: Report): Markup {
  const { live } = latency;
  const all: [string, string, string][] = [
    [
      "delivered",
      shareOf(verdict).replace(/ of .*/, ""),
      verdict.expected === 0 ? "" : `of ${count(verdict.expected)} expected`,
    ],
    ["latency p50", ms(live.p50), `${count(live.count)} live deliveries`],
    ["latency p99", ms(live.p99), `p99.9 ${ms(live.p999)}, max ${ms(live.max)}`],
    ["published", `${count(publications.perSecond)}/s`, `${count(publications.confirmed)} confirmed`],
    ["delivered", `${count(publications.deliveredPerSecond)}/s`, `${count(publications.delivered)} in total`],
    ["readers", count(connections.reading), reconnectWords(connections)],
  ];
  const shown = all.map(
    ([name, value, more]) =>
      markup`<div class="card"><span>${name}</span><strong>${value}</strong><small>${more}</small></div>`,
  );
  return markup`<section class="cards" aria-label="In short">${shown}</section>`;
}

const reconnectWords = ({ reconnect }: Report["connections"]): string =>
  reconnect.count === 0 ? "subscribed at the end" : `${count(reconnect.count)} reconnects, p95 ${ms(reconnect.p95)}`;

/** Problems that the reader must know before the numbers. */
export function problemList({ problems, generator, wasInterrupted }: Report): Markup {
  const interrupted = wasInterrupted ? ["The run was interrupted; the results cover the time until then."] : [];
  const lists = [
    list("The run did not go as planned.", [...interrupted, ...problems]),
    list("The latencies are unreliable because the load generator itself was late.", generator.warnings),
  ];
  return markup`${lists}`;
}

function list(heading: string, items: readonly string[]): Markup {
  const all = items.map((item) => markup`<li>${item}</li>`);
  return items.length === 0
    ? markup``
    : markup`<div class="troubles" role="note"><strong>${heading}</strong><ul>${all}</ul></div>`;
}

export function checks(report: Report): Markup {
  const rows = report.checks.map(({ name, value, limit, passed }) => [
    name,
    number(value),
    number(limit),
    markup`<span class="word ${passed ? "passed" : "failed"}">${passed ? "met" : "exceeded"}</span>`,
  ]);
  return section("Thresholds", table(["", "measured", "at most", ""], rows));
}

export function deliveries({ verdict }: Report): Markup {
  const rows: [string, number, string][] = [
    [
      "expected",
      verdict.expected,
      "confirmed to the publisher, and sent after the reader's subscription was acknowledged",
    ],
    ["arrived", verdict.arrived, ""],
    ["lost", verdict.lost, "never arrived"],
    ["reported", verdict.reported, "lost publications that the reader was notified of"],
    ["repeated", verdict.repeated, "arrived more than once"],
    ["reordered", verdict.reordered, "arrived after later ones"],
    ["duplicated", verdict.duplicated, "one publication at two offsets of the channel"],
    ["gaps", verdict.gaps, "offsets of the channel never received, whoever published there"],
    ["never subscribed", verdict.neverSubscribed, `of ${verdict.subscriptions} subscriptions: never acknowledged`],
    ["wrong boards", verdict.wrongBoards, `of ${verdict.boards} leaderboard copies`],
  ];
  const examples = verdict.examples.map((example) => markup`<li>${example}</li>`);
  const shown = examples.length === 0 ? markup`` : markup`<ul class="examples">${examples}</ul>`;
  const body = rows.map(([name, value, words]) => [name, count(value), words]);
  return section("Every delivery", markup`${table(["", "", ""], body)}${shown}`);
}

export function latencies({ latency, connections, generator }: Report): Markup {
  const all: [string, Percentiles][] = [
    ["live: due → receipt", latency.live],
    ["recovered: due → receipt", latency.late],
    ["due → confirmed to the publisher", latency.confirm],
    ["connect: first attempt → subscribed", connections.connect],
    ["reconnect: connection lost → subscribed", connections.reconnect],
    ["generator: due → sent", generator.lag],
    ["generator: event loop delay", generator.loop],
  ];
  const rows = all
    .filter(([, { count }]) => count > 0)
    .map(([name, { count: times, mean, p50, p90, p99, p999, max }]) => [
      name,
      count(times),
      ...[mean, p50, p90, p99, p999, max].map(ms),
    ]);
  const words = markup`<p>Every publication has a scheduled time that does not depend on how fast the target is. Its latency is the time
    from then until the reader's application receives it. “Live” counts readers that were subscribed at the scheduled
    time; “recovered” counts deliveries to readers that were disconnected or paused and caught up later.</p>`;
  return section("Times", markup`${words}${table(["", "count", "mean", "p50", "p90", "p99", "p99.9", "max"], rows)}`);
}

export function codes({ publications, connections }: Report): Markup {
  const all: [string, Record<string, number>][] = [
    ["connections lost", connections.lost],
    ["refused", connections.refused],
    ["closed by the server", connections.closings],
    ["not confirmed", publications.unconfirmed],
  ];
  const rows = all.flatMap(([what, codes]) => Object.entries(codes).map(([code, times]) => [what, code, count(times)]));
  return rows.length === 0 ? markup`` : section("Answers and errors", table(["", "code", "times"], rows));
}

export function nodes({ nodes: all, feed }: Report): Markup {
  const rows = all.map((node) => [
    node.name,
    `${node.cpuMean.toFixed(2)} (max ${node.cpuMax.toFixed(2)})`,
    `${mebibytes(node.memoryBefore)} → ${mebibytes(node.memoryMax)}`,
    count(node.connectionsMax),
    node.bytesPerConnection === undefined ? "–" : `${(node.bytesPerConnection / 1_024).toFixed(1)} KiB`,
    node.loopDelayMaxMs === undefined ? "–" : ms(node.loopDelayMaxMs),
  ]);
  const heads = ["", "CPU, cores", "memory, MiB", "connections", "memory per connection", "worst loop delay p99"];
  const words =
    feed === undefined
      ? markup``
      : markup`<p>Publications read from Redis by the nodes: ${count(feed.read)}; needed by their readers:
          ${count(feed.needed)}; ratio ${feed.ratio.toFixed(3)}.</p>`;
  return all.length === 0 ? markup`` : section("Nodes", markup`${table(heads, rows)}${words}`);
}

export function generator({ generator: own }: Report): Markup {
  const rows = [
    ["processes", `${own.processes} on ${own.cores} cores`],
    ["CPU, cores", `${own.cpuMean.toFixed(2)} (max ${own.cpuMax.toFixed(2)})`],
    ["memory, MiB", mebibytes(own.memoryMax)],
    ["this machine's CPU in use", `${Math.round(own.machineMean * 100)} %`],
    ["event loop delay, p99", ms(own.loop.p99)],
    ["publisher delay, p99", ms(own.lag.p99)],
  ];
  return section("Load generator", table(["", ""], rows));
}

export function events({ events: all, startedAt }: Report): Markup {
  const rows = all.map(({ at, what }) => [`${((at - startedAt) / 1_000).toFixed(1)} s`, what]);
  return section("Timeline", table(["", ""], rows));
}

export function scenario({ plan }: Report): Markup {
  const { scenario: own, ...rest } = plan;
  const text = JSON.stringify({ ...rest, scenario: own }, null, 2);
  return markup`<section><details><summary>Scenario and plan</summary><pre>${text}</pre></details></section>`;
}

const section = (title: string, body: Markup): Markup => markup`<section><h2>${title}</h2>${body}</section>`;

const count = (value: number): string => value.toLocaleString("en-US");
const ms = (value: number): string =>
  `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
const number = (value: number): string =>
  Number.isFinite(value) ? String(Math.round(value * 1_000) / 1_000) : "not measured";
const mebibytes = (bytes: number): string => (bytes / 1_048_576).toFixed(0);
