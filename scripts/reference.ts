/**
 * Writes the generated parts of the docs from what the code uses: the schemas of settings, events and calls, the catalogues
 * of codes, the metrics and the command line.
 *
 *   npm run reference
 *
 * `test/repository/reference.test.ts` fails while a page differs from what this would write.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadConfig } from "../src/config.ts";
import { createNode } from "../src/gateway.ts";
import type { ApiDescription } from "../src/http/openapi.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { fillPage } from "./reference/pages.ts";
import { describedEnvironment } from "./reference/http.ts";

const repository = fileURLToPath(new URL("../", import.meta.url));

/** A node describes its calls itself; it needs no other than the embedded store. */
async function readApi(): Promise<ApiDescription> {
  const config = loadConfig({ ...describedEnvironment, PORT: "0", HOST: "127.0.0.1", LOG_LEVEL: "silent" });
  const node = await createNode(config, { log: createLogger({ level: "silent" }) });
  await node.start();
  try {
    return (await (await fetch(`${node.url}/openapi.json`)).json()) as ApiDescription;
  } finally {
    await node.drain();
  }
}

const facts = { api: await readApi() };
for (const page of globSync("docs/*.md", { cwd: repository })) {
  const text = readFileSync(`${repository}${page}`, "utf8");
  const filled = await fillPage(text, facts);
  if (filled === text) continue;
  writeFileSync(`${repository}${page}`, filled);
  process.stdout.write(`${page}\n`);
}
