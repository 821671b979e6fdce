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
    ["delivered", shareOf(verdict).replace(/ of .*/, ""), verdict.owed === 0 ? "" : `of ${count(verdict.owed)} owed`],
    ["latency p50", ms(live.p50), `${count(live.count)} live deliveries`],
    ["latency p99", ms(live.p99), `p99.9 ${ms(live.p999)}, max ${ms(live.max)}`],
    ["published", `${count(publications.perSecond)}/s`, `${count(publications.confirmed)} confirmed`],
    ["delivered", `${count(publications.deliveredPerSecond)}/s`, `${count(publications.delivered)} in all`],
    ["readers", count(connections.reading), returnWords(connections)],
  ];
  const shown = all.map(
    ([name, value, more]) =>
      markup`<div class="card"><span>${name}</span><strong>${value}</strong><small>${more}</small></div>`,
  );
  return markup`<section class="cards" aria-label="In short">${shown}</section>`;
}

const returnWords = ({ return: back }: Report["connections"]): string =>
  back.count === 0 ? "reading in the end" : `${count(back.count)} returns, p95 ${ms(back.p95)}`;

/** What the reader of the report must know before any figure. */
export function troubles({ problems, generator, wasInterrupted }: Report): Markup {
  const interrupted = wasInterrupted ? ["The run was interrupted: it is judged by what was seen until then."] : [];
  const lists = [
    list("The run is not what was asked for.", [...interrupted, ...problems]),
    list("The latencies cannot be trusted: the generator itself was late.", generator.warnings),
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
    markup`<span class="word ${passed ? "passed" : "failed"}">${passed ? "kept" : "missed"}</span>`,
  ]);
  return section("Thresholds", table(["", "measured", "at most", ""], rows));
}

export function deliveries({ verdict }: Report): Markup {
  const rows: [string, number, string][] = [
    ["owed", verdict.owed, "confirmed to the publisher, and sent after the reader was told that it reads"],
    ["arrived", verdict.arrived, ""],
    ["lost", verdict.lost, "owed and never arrived"],
    ["told", verdict.told, "of the lost: the reader was told so"],
    ["repeated", verdict.repeated, "came more than once"],
    ["reordered", verdict.reordered, "came behind later ones"],
    ["doubled", verdict.doubled, "one publication at two places of the channel"],
    ["holes", verdict.holes, "places of the channel never seen, whoever published there"],
    ["unread", verdict.unread, `of ${verdict.readings} readings: never told that they read`],
    ["wrong boards", verdict.wrongBoards, `of ${verdict.boards} copies of boards`],
  ];
  const examples = verdict.examples.map((example) => markup`<li>${example}</li>`);
  const shown = examples.length === 0 ? markup`` : markup`<ul class="examples">${examples}</ul>`;
  const body = rows.map(([name, value, words]) => [name, count(value), words]);
  return section("Every delivery", markup`${table(["", "", ""], body)}${shown}`);
}

export function latencies({ latency, connections, generator }: Report): Markup {
  const all: [string, Percentiles][] = [
    ["live: due → receipt", latency.live],
    ["brought back: due → receipt", latency.late],
    ["due → confirmed to the publisher", latency.confirm],
    ["connect: first attempt → reading", connections.connect],
    ["return: connection lost → reading", connections.return],
    ["generator: due → at hand", generator.lag],
    ["generator: event loop's delay", generator.loop],
  ];
  const rows = all
    .filter(([, { count }]) => count > 0)
    .map(([name, { count: times, mean, p50, p90, p99, p999, max }]) => [
      name,
      count(times),
      ...[mean, p50, p90, p99, p999, max].map(ms),
    ]);
  const words = markup`<p>A publication is due at a moment fixed beforehand, however the house fares; its latency runs from
    there to the moment a reader's application has it. “Live” counts readers that were reading when it was due;
    what others got later, after a cut or having stopped reading themselves, is “brought back”.</p>`;
  return section("Times", markup`${words}${table(["", "count", "mean", "p50", "p90", "p99", "p99.9", "max"], rows)}`);
}

export function codes({ publications, connections }: Report): Markup {
  const all: [string, Record<string, number>][] = [
    ["connections lost", connections.lost],
    ["refused", connections.refused],
    ["closed by the house", connections.closings],
    ["not confirmed", publications.unconfirmed],
  ];
  const rows = all.flatMap(([what, codes]) => Object.entries(codes).map(([code, times]) => [what, code, count(times)]));
  return rows.length === 0 ? markup`` : section("What was said", table(["", "code", "times"], rows));
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
  const heads = ["", "CPU, cores", "memory, MiB", "connections", "memory each", "loop delay p99, at worst"];
  const words =
    feed === undefined
      ? markup``
      : markup`<p>Publications that the nodes read from Redis: ${count(feed.read)}; that their readers want:
          ${count(feed.wanted)}; ratio ${feed.ratio.toFixed(3)}.</p>`;
  return all.length === 0 ? markup`` : section("Nodes", markup`${table(heads, rows)}${words}`);
}

export function generator({ generator: own }: Report): Markup {
  const rows = [
    ["processes", `${own.processes} on ${own.cores} cores`],
    ["CPU, cores", `${own.cpuMean.toFixed(2)} (max ${own.cpuMax.toFixed(2)})`],
    ["memory, MiB", mebibytes(own.memoryMax)],
    ["this machine's CPU in use", `${Math.round(own.machineMean * 100)} %`],
    ["event loops late, p99", ms(own.loop.p99)],
    ["publications late at hand, p99", ms(own.lag.p99)],
  ];
  return section("The generator itself", table(["", ""], rows));
}

export function happenings({ happenings: all, startedAt }: Report): Markup {
  const rows = all.map(({ at, what }) => [`${((at - startedAt) / 1_000).toFixed(1)} s`, what]);
  return section("What happened", table(["", ""], rows));
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
