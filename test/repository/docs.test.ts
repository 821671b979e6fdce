import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { clientVersions, nodeVersions } from "../../scripts/compatibility/versions.ts";
import { loadConfig, variables } from "../../src/config.ts";
import { configFile } from "../../src/config/file-schema.ts";
import { repository } from "../support/source-tree.ts";

const read = (path: string): string => readFileSync(join(repository, path), "utf8");

/** What stands in backticks in the first column of the page's tables. */
function tableOf(page: string): string[] {
  const rows = read(page).matchAll(/^\|([^|]*`[^|]*)\|/gm);
  return [...rows].flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word));
}

describe("the tables for operators are complete", () => {
  test("every variable is in docs/settings.md", () => {
    expect(tableOf("docs/settings.md")).toEqual(expect.arrayContaining([...variables]));
  });

  test("every setting of the JSON file is in docs/settings.md, and none that is not known", () => {
    const documented = tableOf("docs/settings.md").filter((word) => /^[a-z]+(\.|\[\])/.test(word));
    const isDocumented = (path: string) => documented.some((word) => path === word || path.startsWith(`${word}.`));
    const everyLimit = ["shadow", "whenStoreIsAway", "portion"];

    // For editors; described above the tables.
    const paths = settingsOf(configFile).filter((path) => path !== "$schema");
    expect(read("docs/settings.md")).toContain('"$schema":');
    const missing = paths.filter((path) => !isDocumented(path) && !everyLimit.some((key) => path.includes(`.${key}`)));
    const unknown = documented.filter((word) => !paths.some((path) => path === word || path.startsWith(`${word}.`)));

    expect({ missing, unknown }).toEqual({ missing: [], unknown: [] });
  });
});

test("docs/compatibility.md has the results of every version that is run, and no failure", () => {
  const page = read("docs/compatibility.md");

  for (const version of nodeVersions) expect(page).toMatch(new RegExp(`^\\| Node ${version}\\b`, "m"));
  for (const version of clientVersions) expect(page).toMatch(new RegExp(`socket\\.io-client ${version}\\.\\d`));
  for (const store of ["Redis", "Valkey"]) expect(page).toMatch(new RegExp(`^\\| Node [\\d.]+, ${store} \\d`, "m"));
  expect(page).not.toContain("**failed**");
});

test("links between the pages are valid", () => {
  const pages = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    ...globSync("docs/*.md", { cwd: repository }),
  ];

  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)]
      .map(([, target = ""]) => join(dirname(page), target))
      .filter((target) => !existsSync(join(repository, target))),
  );

  expect(broken).toEqual([]);
});

test("the example environment contains valid settings only", () => {
  expect(() =>
    loadConfig(Object.fromEntries([...read(".env.example").matchAll(/^(\w+)=(.*)$/gm)].map(([, k, v]) => [k, v]))),
  ).not.toThrow();
});

/** What a zod schema tells of itself. */
interface Schema {
  _zod: {
    def: { type: string; innerType?: Schema; valueType?: Schema; element?: Schema; shape?: Record<string, Schema> };
  };
}

/** The paths of all settings: `*` for any key, `[]` for any entry. */
function settingsOf(schema: Schema, path = ""): string[] {
  const { type, innerType, valueType, element, shape } = schema._zod.def;
  if (innerType !== undefined) return settingsOf(innerType, path);
  if (shape !== undefined)
    return Object.entries(shape).flatMap(([key, inner]) => settingsOf(inner, `${path}.${key}`.replace(/^\./, "")));
  if (type === "record" && valueType?._zod.def.shape !== undefined) return settingsOf(valueType, `${path}.*`);
  if (type === "array" && element?._zod.def.shape !== undefined) return settingsOf(element, `${path}[]`);
  return [path];
}
