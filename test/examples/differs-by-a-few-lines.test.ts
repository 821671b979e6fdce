import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/source-tree.ts";
import { examples } from "./support.ts";

/** Lines that moving in takes away and adds; empty ones do not count. */
const changed = (from: string, to: string): Promise<string[]> =>
  new Promise((resolve) =>
    // Its exit code is 1 if the files differ.
    execFile("diff", ["-U0", from, to], (_error, output) =>
      resolve(
        output
          .split("\n")
          .slice(2)
          .filter((line) => /^[-+]./.test(line)),
      ),
    ),
  );

const maxAdded = 10;

test.each(examples)("%s differs from its original as its README shows, by a few lines", async (name) => {
  const folder = join(repository, "examples", name);
  const server = await changed(join(folder, "server.stock.ts"), join(folder, "server.ts"));
  const page = await changed(join(folder, "index.stock.html"), join(folder, "index.html"));
  const readme = readFileSync(join(folder, "README.md"), "utf8");

  const shown = [...readme.matchAll(/^```diff\n(.*?)\n^```$/gms)].map(([, lines = ""]) => lines.split("\n"));
  expect(shown).toEqual([server, page]);
  expect(server.filter((line) => line.startsWith("+")).length).toBeLessThanOrEqual(maxAdded);
  expect(page.filter((line) => line.startsWith("+"))).toHaveLength(1);
});
