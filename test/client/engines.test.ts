import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { repository } from "../support/source-tree.ts";
import { builtPackages, contractServer } from "./support.ts";

const run = promisify(execFile);
const tsc = join(repository, "node_modules/typescript/bin/tsc");
const compile = (...args: string[]) => run(process.execPath, [tsc, ...args], { cwd: repository });

/** What Node 18, Hermes or a browser of 2023 lacks, taken away once Socket.IO's client has been loaded. */
const takeAway = `
  delete Promise.withResolvers;
  for (const name of ["FinalizationRegistry", "WeakRef", "crypto", "TextEncoder", "structuredClone", "Iterator"])
    delete globalThis[name];
  for (const name of ["at", "toSorted", "toReversed", "toSpliced", "with", "findLast", "findLastIndex"])
    delete Array.prototype[name];
  delete Object.groupBy; delete Object.hasOwn; delete Array.fromAsync; delete AbortSignal.timeout;`;

const program = (url: string) => `${takeAway}
  const client = connect(${JSON.stringify(url)}, { token: async () => "token-1" });
  const lobby = client.channel("chat:lobby");
  const view = client.orders();
  await lobby.subscribe();
  const { offset } = await lobby.publish("said", { text: "hello" }, { retries: 1 });
  console.log("published " + offset);
  process.exit();`;

describe("the client", () => {
  it("uses no built-in that Node 18 or a browser of the last three years lacks", async () => {
    await compile("--noEmit", "-p", "tsconfig.client.json");
  });

  it("works in engines without the newest built-ins", async () => {
    const { url } = await contractServer();
    const entry = JSON.stringify(join(repository, "src/client/client.ts"));

    const { stdout } = await run(process.execPath, [
      "--input-type=module",
      "--eval",
      `const { connect } = await import(${entry}); ${program(url)}`,
    ]);

    expect(stdout).toBe("published 1\n");
  });

  it("can be required, as can the publisher", async () => {
    const { url } = await contractServer();
    const folder = await builtPackages();
    const main = `
      const { connect } = require("./client.cjs");
      const { createPublisher, overHttp } = require("./publisher.cjs");
      createPublisher(overHttp({ url: "http://127.0.0.1:9", apiKey: "key" }));
      (async () => { ${program(url)} })();`;
    writeFileSync(join(folder, "main.cjs"), main);

    const { stdout } = await run(process.execPath, [join(folder, "main.cjs")]);

    expect(stdout).toBe("published 1\n");
  });
});
