import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describedEnvironment } from "../../scripts/reference/http.ts";
import { fillPage, partNames } from "../../scripts/reference/pages.ts";
import { loadConfig } from "../../src/config.ts";
import { configSchema, settingsIn } from "../../src/config/config-schema.ts";
import { describedPaths, descriptionOf } from "../../src/config/setting-descriptions.ts";
import { variableDescriptions } from "../../src/config/variables.ts";
import type { ApiDescription } from "../../src/http/openapi.ts";
import { startGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";

const pages = globSync("docs/*.md", { cwd: repository })
  .map((page) => ({ page, text: readFileSync(join(repository, page), "utf8") }))
  .filter(({ text }) => text.includes("<!-- npm run reference:"));

test("the generated parts of the docs are what `npm run reference` writes", async () => {
  const { call } = await startGateway({ env: describedEnvironment });
  const api = (await call("GET", "/openapi.json")).body as ApiDescription;

  const outdated: string[] = [];
  for (const { page, text } of pages) if ((await fillPage(text, { api })) !== text) outdated.push(page);

  expect(outdated).toEqual([]);
});

test("every part that can be generated is on a page, and its markers are in pairs", () => {
  const names = pages.flatMap(({ text }) =>
    [...text.matchAll(/<!-- npm run reference: ([\w .]+) -->/g)].map(([, name = ""]) => name),
  );
  const ends = pages.flatMap(({ text }) =>
    [...text.matchAll(/<!-- end of ([\w .]+) -->/g)].map(([, name = ""]) => name),
  );

  expect(names.toSorted()).toEqual(partNames.toSorted());
  expect(ends).toEqual(names);
});

test("every field, parameter, option and code has a meaning", () => {
  const tables = pages.flatMap(({ page, text }) => tablesOf(text).map((lines) => ({ page, lines })));
  const rows = tables.flatMap(({ page, lines: [head = "", , ...body] }) => {
    const column = cellsOf(head).indexOf("meaning");
    return column < 0 ? [] : body.map((row) => ({ page, row, meaning: cellsOf(row)[column] }));
  });

  expect(rows.length).toBeGreaterThan(1_000);
  expect(rows.filter(({ meaning }) => meaning === "").map(({ page, row }) => `${page}: ${row}`)).toEqual([]);
});

const tablesOf = (text: string): string[][] =>
  [...text.matchAll(/(?:^\|.*\n)+/gm)].map(([table]) => table.trimEnd().split("\n"));

const cellsOf = (row: string): string[] =>
  row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

test("a part that nothing generates is an error", async () => {
  const page = "<!-- npm run reference: nothing -->\n<!-- end of nothing -->\n";

  await expect(fillPage(page, { api: {} as ApiDescription })).rejects.toThrow('under the name "nothing"');
});

test("the defaults of variables are what an unset one means", () => {
  const defaults = Object.entries(variableDescriptions).flatMap(([name, described]) => {
    const [, value] = /^`(.*)`$/.exec(described.default) ?? [];
    return value === undefined ? [] : [[name, value]];
  });

  expect(defaults.length).toBeGreaterThan(15);
  for (const [name = "", value] of defaults) {
    const needed = name.startsWith("REDIS_") ? { REDIS_HOST: "localhost" } : {};
    const { sources: _given, ...given } = loadConfig({ NODE_ID: "node", ...needed, [name]: value });
    const { sources: _needed, ...expected } = loadConfig({ NODE_ID: "node", ...needed });
    expect({ name, ...given }).toEqual({ name, ...expected });
  }
});

describe("settings of the JSON file", () => {
  const paths = settingsIn(configSchema()).map(({ path }) => path);
  const innermost = paths.filter(
    (path) => !paths.some((other) => other.startsWith(`${path}.`) || other.startsWith(`${path}[]`)),
  );

  test("are all described, and no others", () => {
    // One table lists the costs.
    const undescribed = innermost.filter((path) => !path.includes(".costs.") && descriptionOf(path) === undefined);

    expect(innermost).toEqual(
      expect.arrayContaining(["channels.*.history.size", "webhooks[].url", "app.events.*.cost"]),
    );
    expect(undescribed).toEqual([]);
    expect(describedPaths.filter((path) => !paths.includes(path))).toEqual([]);
  });

  test("have their defaults and descriptions in the JSON Schema, without links", () => {
    const byPath = new Map(settingsIn(configSchema()).map(({ path, schema }) => [path, schema]));

    expect(byPath.get("orders.maxHeld")).toMatchObject({ default: 32, description: "max held events per order" });
    expect(byPath.get("webhooks[].tries")?.default).toBe(16);
    expect(byPath.get("limits.messages.closeAfter.refusals")?.default).toBe(100);
    expect(byPath.get("channels.*.state")?.description).toContain("has state;");
  });
});
