import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { clientVersions, nodeVersions } from "../../scripts/compatibility/versions.ts";
import { loadConfig } from "../../src/config.ts";
import { repository } from "../support/source-tree.ts";

const read = (path: string): string => readFileSync(join(repository, path), "utf8");

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
