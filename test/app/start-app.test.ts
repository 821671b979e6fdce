import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { expect, inject, onTestFinished, test } from "vitest";
import { connectClient } from "../support/gateway.ts";
import { spawnNodeProcess, startNodeProcess } from "../support/node-process.ts";

const app = `export default (gateway) => {
  gateway.on("greet", ({ user }, name) => ({ greeting: \`Hello \${name}, says \${user.userId}\` }));
  gateway.io.on("connection", (socket) => socket.on("ping me", () => socket.emit("pinged", 1)));
};
`;

function appFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "app-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "app.ts");
  writeFileSync(file, text);
  return file;
}

const environment = (file: string): Record<string, string> => ({
  REDIS_URL: inject("redisUrl"),
  KEY_PREFIX: randomUUID(),
  APP_FILE: file,
});

test("a started node calls the app's default export, which handles events of clients", async () => {
  const node = await startNodeProcess({ nodeId: "app", env: environment(appFile(app)) });
  onTestFinished(async () => void (await node.kill()));
  const client = await connectClient(node.url, (await node.signIn("ann")).token);

  const greeting: unknown = await client.emitWithAck("greet", "Bob");
  const pinged = new Promise((resolve) => client.once("pinged", resolve));
  client.emit("ping me");

  expect(greeting).toEqual({ greeting: "Hello Bob, says ann" });
  expect(await pinged).toBe(1);
});

test.each([
  ["has no function as its default export", "export const app = 1;", /APP_FILE: \S+ must have a function/],
  ["cannot be loaded", "export default (;", /APP_FILE: \S+ cannot be loaded: /],
])("a file that %s is an error of the configuration", async (_, text, line) => {
  const node = await spawnNodeProcess({ nodeId: "app", env: environment(appFile(text)) });
  onTestFinished(async () => void (await node.kill()));

  expect((await node.ended).code).toBe(78);
  expect(node.log()).toMatch(line);
});

test("an app that fails while the node starts ends it, and its line is named", async () => {
  const text = 'export default () => {\n  throw new Error("no database");\n};';
  const node = await spawnNodeProcess({ nodeId: "app", env: environment(appFile(text)) });
  onTestFinished(async () => void (await node.kill()));

  expect((await node.ended).code).toBe(1);
  expect(node.log()).toMatch(/app\.ts failed: Error: no database\n.*app\.ts:2:/);
});
