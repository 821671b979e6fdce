import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describedEnvironment } from "../../scripts/reference/http.ts";
import { fillPage, partNames } from "../../scripts/reference/pages.ts";
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

test("a part that nothing generates is an error", async () => {
  const page = "<!-- npm run reference: nothing -->\n<!-- end of nothing -->\n";

  await expect(fillPage(page, { api: {} as ApiDescription })).rejects.toThrow('under the name "nothing"');
});
