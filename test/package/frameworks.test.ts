import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { connectClient, told, type Client } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { environment } from "./packed.ts";

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "tidegate-frameworks-"));
const page = readFileSync(join(repository, "docs/embedding.md"), "utf8");

const project = {
  type: "module",
  private: true,
  dependencies: {
    fastify: "5.12.8",
    "@fastify/websocket": "11.3.7",
    "@nestjs/common": "12.5.1",
    "@nestjs/core": "12.5.1",
    "@nestjs/platform-express": "12.5.1",
    "reflect-metadata": "0.2.2",
    rxjs: "7.8.2",
  },
};

/** What a compiler makes of a class with decorators. */
const nestModule = `
import { Controller, Get, Module } from "@nestjs/common";
class Hello {
  hello() {
    return "Hello from Nest";
  }
}
Controller()(Hello);
Get("hello")(Hello.prototype, "hello", Object.getOwnPropertyDescriptor(Hello.prototype, "hello"));
export class AppModule {}
Module({ controllers: [Hello] })(AppModule);
`;

/** Tells the test where the page's program listens, and how to sign in. */
const more = (server: string): string => `
const { token } = await gateway.sessions.create({ userId: "ann" });
console.log(JSON.stringify({ port: ${server}.address().port, token }));
`;

beforeAll(async () => {
  writeFileSync(join(folder, "package.json"), JSON.stringify(project));
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: folder, env: environment() });
  const installed = join(folder, "node_modules");
  mkdirSync(join(installed, "tidegate"));
  writeFileSync(join(installed, "tidegate", "package.json"), JSON.stringify({ type: "module", exports: "./index.js" }));
  writeFileSync(
    join(installed, "tidegate", "index.js"),
    `export * from ${JSON.stringify(join(repository, "src/index.ts"))};`,
  );
  writeFileSync(join(folder, "app.module.js"), nestModule);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The program of a section of the page. */
async function start(section: string, server: string) {
  const [, program = ""] = new RegExp(`^## ${section}\n.*?^\`\`\`typescript\n(.*?)^\`\`\``, "ms").exec(page) ?? [];
  const file = join(folder, `${section}.ts`);
  const text = program
    .replace("3000", "0")
    .replace("createGateway({", `createGateway({ ...${JSON.stringify(options())},`);
  writeFileSync(file, text + more(server));
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
    if (line.value.startsWith('{"port"'))
      return { ...(JSON.parse(line.value) as { port: number; token: string }), child, exited };
  }
  throw new Error(`the program of ${section} has ended`);
}

const options = () => ({ redis: inject("redisUrl"), keyPrefix: freshPrefix() });

describe("a gateway beside", () => {
  test.each([
    ["Express", "server"],
    ["Fastify", "app.server"],
    ["Nest", "app.getHttpServer()"],
  ])(
    "%s, as the docs have it: one port, both work, and it closes first",
    { timeout: 120_000 },
    async (section, server) => {
      const { port, token, child, exited } = await start(section, server);
      const url = `http://127.0.0.1:${port}`;
      const clients: Client[] = [];
      for (const transport of ["websocket", "polling"]) {
        const client = await connectClient(url, token, { transports: [transport] });
        expect(await client.emitWithAck("greet")).toBe("Hello ann");
        clients.push(client);
      }

      expect(await (await fetch(`${url}/hello`)).text()).toBe(`Hello from ${section}`);
      expect((await fetch(`${url}/v1/channels`)).status).toBe(401);
      expect((await fetch(`${url}/nothing`)).status).toBe(404);
      if (section === "Fastify")
        expect(await firstMessage(`${url.replace("http", "ws")}/own`)).toBe("a WebSocket of Fastify");
      child.kill("SIGTERM");

      await eventually(() => expect(clients.map((client) => told(client, "drain").length)).toEqual([1, 1]));
      expect(await exited).toEqual([0, null]);
    },
  );
});

async function firstMessage(url: string): Promise<string> {
  const socket = new WebSocket(url);
  onTestFinished(() => socket.terminate());
  const [data] = (await once(socket, "message")) as [Buffer];
  socket.close();
  return data.toString();
}
