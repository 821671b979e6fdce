import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { markup, Markup } from "./markup.ts";
import { plotsOf, type Plot } from "./plots.ts";
import type { Report } from "./report.ts";
import * as sections from "./sections.ts";

/** Renders a self-contained page: styles, script, plotting library and data are inlined. */
export function renderHtml(report: Report): string {
  const plots = plotsOf(report);
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${report.plan.scenario.name}: load test</title>
<style>${beside("page.css")}</style>
</head>
<body>
<main>
${sections.header(report)}
${sections.problemList(report)}
${sections.cards(report)}
<section class="plots" aria-label="Over time">${plots.map(figure)}</section>
<div class="columns">
${sections.checks(report)}
${sections.deliveries(report)}
</div>
${sections.latencies(report)}
${sections.nodes(report)}
<div class="columns">
${sections.generator(report)}
${sections.codes(report)}
${sections.events(report)}
</div>
${sections.scenario(report)}
</main>
<script type="application/json" id="data">${asJson({ plots, marks: marksOf(report) })}</script>
<script>${library()}</script>
<script>${beside("page.js")}</script>
</body>
</html>
`;
  return page.html;
}

function figure({ title, unit }: Plot): Markup {
  const caption = unit === "" ? title : `${title}, ${unit}`;
  return markup`<figure><figcaption>${caption}</figcaption><div class="plot" role="img" aria-label="${caption}"></div></figure>`;
}

/** Times to mark in the plots. */
const marksOf = ({ events, startedAt }: Report): { at: number; what: string }[] =>
  events.map(({ at, what }) => ({ at: (at - startedAt) / 1_000, what }));

/** Escaped so that it cannot end its script element. */
const asJson = (value: unknown): Markup => new Markup(JSON.stringify(value).replaceAll("<", "\\u003c"));

const beside = (name: string): Markup => new Markup(readFileSync(new URL(name, import.meta.url), "utf8"));

function library(): Markup {
  const folder = dirname(createRequire(import.meta.url).resolve("uplot"));
  return new Markup(readFileSync(join(folder, "uPlot.iife.min.js"), "utf8"));
}
