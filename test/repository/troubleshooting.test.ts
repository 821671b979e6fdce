import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { variables } from "../../src/config/variables.ts";
import { closingCatalogue } from "../../src/protocol/closings.ts";
import { errorCatalogue } from "../../src/protocol/errors.ts";
import { createEventLoopDelay } from "../../src/runtime/event-loop-delay.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { repository } from "../support/source-tree.ts";

const read = (path: string): string => readFileSync(join(repository, path), "utf8");

/** What the page has in backticks, outside of blocks. */
const spans = [
  ...read("docs/troubleshooting.md")
    .replaceAll(/^```.*?^```$/gms, "")
    .matchAll(/`([^`]+)`/g),
].map(([, span = ""]) => span.replaceAll(/\s+/g, " "));

/** The sources, with texts that are written in several parts joined. */
const sources = globSync("src/**/*.{ts,lua}", { cwd: repository }).map((path) =>
  read(path).replaceAll(/["`]\s*\+\s*["`]/g, ""),
);

/** What a reader types or configures, instead of what the gateway says. */
const isTyped = (span: string): boolean =>
  /^(?:tidegate|redis-cli|node|GET|SELECT|SLOWLOG|[A-Z_]+=|Authorization:|Content-Type:|[{"]|--|transports)/.test(
    span,
  ) || /^[\w-]+(?: [\w-]+)? (?:pubsub|\d+)$|^\w+: (?:true|false)$/.test(span);

const texts = spans.filter((span) => / /.test(span) && !isTyped(span));

test.each(texts)("the gateway still says: %s", (text) => {
  const parts = text
    .split("…")
    .map((part) => part.trim())
    .filter((part) => part !== "");

  expect(sources.some((source) => parts.every((part) => source.includes(part)))).toBe(true);
});

test("every metric that the page names exists", () => {
  const metrics = createMetrics({ nodeId: "test" });
  createEventLoopDelay(metrics);
  const known = metrics.registry.getMetricsAsArray().map(({ name }) => name);
  const named = spans.flatMap((span) => /^(?:gateway|process|nodejs)_\w+/.exec(span) ?? []);

  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
});

test("every code and every variable that the page names exists", () => {
  const codes = [...Object.keys(errorCatalogue), ...Object.keys(closingCatalogue)];
  const rules = [...read("src/protocol/errors.ts").matchAll(/[|"](\w+)["|]/g)].map(([, rule = ""]) => rule);
  const claims = rules.map((claim) => `claim_${claim}`);
  const words = spans.filter(
    (span) => /^[a-z]+_[a-z_]+$/.test(span) && !/^(?:gateway|process|nodejs|stop|proxy)_/.test(span),
  );
  const named = spans.flatMap((span) => /^[A-Z]+_[A-Z_]+/.exec(span) ?? []);

  expect(words.filter((word) => ![...codes, ...rules, ...claims].includes(word))).toEqual([]);
  expect(named.filter((name) => !variables.includes(name))).toEqual([]);
});

test("the page has texts to look for", () => {
  expect(texts).toContain("pub/sub probe lost; reconnecting the subscriber");
  expect(texts.length).toBeGreaterThan(40);
});
