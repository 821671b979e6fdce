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

test("a started node checks what is sent against its contract", async () => {
  const contract = `const text = (value) => typeof value === "string" ? { value } : { issues: [{ message: "must be text" }] };
    export default { channels: { news: { headline: { "~standard": { version: 1, vendor: "own", validate: text } } } } };`;
  const node = await startNodeProcess({
    nodeId: "app",
    env: { ...environment("unused"), APP_FILE: "", CONTRACT_FILE: appFile(contract) },
  });
  onTestFinished(async () => void (await node.kill()));
  const publish = (data: unknown) =>
    node.call("POST", "/v1/publish", { channel: "news:today", event: "headline", data });

  expect(await publish(1)).toMatchObject({ status: 400, body: { code: "bad_request", detail: "data: must be text" } });
  expect(await publish("the tide turns")).toMatchObject({ status: 200 });
});

test("a contract may import what the package exports, in a checkout that was not built", async () => {
  const contract = `import { defineContract } from "tidegate/contract";
    import { GatewayError } from "tidegate";
    const nothing = () => ({ issues: [{ message: new GatewayError("forbidden", "nothing is valid").message }] });
    export default defineContract({ channels: { news: { headline: { "~standard": { version: 1, vendor: "own", validate: nothing } } } } });`;
  const node = await startNodeProcess({
    nodeId: "app",
    env: { ...environment("unused"), APP_FILE: "", CONTRACT_FILE: appFile(contract) },
  });
  onTestFinished(async () => void (await node.kill()));

  const refused = await node.call("POST", "/v1/publish", { channel: "news:today", event: "headline", data: 1 });

  expect(refused).toMatchObject({ status: 400, body: { code: "bad_request", detail: "data: nothing is valid" } });
});

test.each([
  ["APP_FILE", "has no function as its default export", "export const app = 1;", /APP_FILE: \S+ must have a function/],
  ["APP_FILE", "cannot be loaded", "export default (;", /APP_FILE: \S+ cannot be loaded: /],
  ["CONTRACT_FILE", "has no contract", "export default 1;", /CONTRACT_FILE: \S+ cannot be loaded: is not a contract/],
])("%s with a file that %s is an error of the configuration", async (variable, _, text, line) => {
  const env = { ...environment(""), [variable]: appFile(text) };
  const node = await spawnNodeProcess({ nodeId: "app", env });
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

test("an app that closes its gateway ends the node, as one that was told to drain", async () => {
  const closing = `export default (gateway) => {
    gateway.io.on("connection", (socket) => socket.on("stop", () => gateway.io.close()));
  };`;
  const node = await startNodeProcess({ nodeId: "app", env: environment(appFile(closing)) });
  onTestFinished(async () => void (await node.kill()));
  const client = await connectClient(node.url, (await node.signIn("ann")).token);

  client.emit("stop");

  expect(await node.ended).toEqual({ code: 0, signal: null });
});
