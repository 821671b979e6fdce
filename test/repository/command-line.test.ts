import { execFile, spawn } from "node:child_process";
import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { unsupportedNodeMessage } from "../../src/runtime/version.ts";
import { repository } from "../support/source-tree.ts";

test.each([
  ["20.20.2", "tidegate needs Node 22.18 or newer; this is Node 20.20.2"],
  ["22.17.9", "tidegate needs Node 22.18 or newer; this is Node 22.17.9"],
  ["22.18.0", undefined],
  ["24.1.0", undefined],
])("is asked for its Node first: %s", (version, complaint) => expect(unsupportedNodeMessage(version)).toBe(complaint));

describe("the command line, run for real", () => {
  test("lists its commands and exit codes", async () => {
    const { code, out } = await tidegate(["--help"]);

    expect(code).toBe(0);
    for (const word of ["start", "token", "publish", "config", "64", "78"]) expect(out).toContain(word);
  });

  test("knows its version", async () => {
    const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };

    expect(await tidegate(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });

  test.each([
    ["a misspelled command", ["strat"], "Did you mean start?"],
    ["a misspelled option", ["token", "alice", "--rol", "admin"], "Did you mean --role?"],
    ["an option it does not have", ["start", "--port", "80"], "unknown option '--port'"],
    ["a word too many", ["config", "all"], "too many arguments"],
    ["a word too few", ["publish", "chat:1"], "missing required argument 'event'"],
    ["a replay of nothing", ["dead-letters", "replay"], "give the ids to replay, or --all"],
    ["no workers", ["start", "--workers", "0"], "must be from 1 to 128, or auto"],
    ["too many workers", ["start", "--workers", "129"], "must be from 1 to 128, or auto"],
    ["an address that is none", ["token", "alice", "--url", "localhost:3000"], "--url: localhost:3000 is not a URL"],
    ["an address that is none", ["doctor", "--url", "nonsense"], "--url: nonsense is not a URL"],
    ["a number that is none", ["token", "alice", "--ttl", "1h"], "must be a whole number"],
  ])("refuses %s with exit code 64", async (_, words, complaint) => {
    const { code, out, err } = await tidegate(words);

    expect(code).toBe(64);
    expect(out).toBe("");
    expect(err).toContain(complaint);
  });

  test.each([["start"], ["config"]])(
    "%s tells every mistake of the configuration and ends with 78",
    async (command) => {
      const { code, err } = await tidegate([command], { NODE_ENV: "production", PORT: "x", JWT_SECRET: "short" });

      expect(code).toBe(78);
      for (const name of ["PORT", "JWT_SECRET", "API_KEYS", "ALLOWED_ORIGINS", "REDIS_URL"]) {
        expect(err).toContain(`${name}:`);
      }
    },
  );

  test.each([["token", "alice"], ["doctor"]])("%s names the setting that hides the gateway", async (...words) => {
    const { code, err } = await tidegate(words, { PORT: "x" });

    expect({ code, err }).toEqual({ code: 78, err: expect.stringContaining("PORT: must be a whole number") });
  });

  test("starts without a command, and reports invalid settings first", async () => {
    expect((await tidegate([], { PORT: "x" })).code).toBe(78);
  });

  test("prints the effective settings, including the file's, with secrets masked", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-config-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "gateway.json");
    writeFileSync(file, '{ "limits": { "connectionsPerUser": 3 } }');

    const { code, out } = await tidegate(["config"], { GATEWAY_CONFIG: file, JWT_SECRET: "hush", PORT: "4000" });

    expect(code).toBe(0);
    expect(out).not.toContain("hush");
    expect(JSON.parse(out)).toMatchObject({ port: 4_000, limits: { connectionsPerUser: 3, payloadBytes: 65_536 } });
  });
});

describe("a command for a running gateway", () => {
  test("publishes with the key it is given and prints the answer", async () => {
    const { url, calls } = await backend(200, { channel: "chat:1", epoch: "e", offset: 1, duplicate: false });
    const words = ["publish", "chat:1", "message", '{"a":1}', "--url", url, "--key", "k", "--idempotency-key", "once"];

    const { code, out } = await tidegate(words);

    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ channel: "chat:1", epoch: "e", offset: 1, duplicate: false });
    expect(calls).toEqual([
      {
        call: "POST /v1/publish",
        authorization: "Bearer k",
        body: { channel: "chat:1", event: "message", data: { a: 1 }, idempotencyKey: "once" },
      },
    ]);
  });

  test("keeps the path of the address, below which a proxy may serve the gateway", async () => {
    const { url, calls } = await backend(200, {});

    await tidegate(["publish", "chat:1", "message", "1", "--url", `${url}/realtime/`]);
    await tidegate(["token", "alice", "--url", `${url}/realtime`]);

    expect(calls).toMatchObject([{ call: "POST /realtime/v1/publish" }, { call: "POST /realtime/v1/sessions" }]);
  });

  test("creates a session and prints only the token, for scripts", async () => {
    const { url, calls } = await backend(201, { sessionId: "s", token: "t.o.k", expiresAt: 1 });
    const words = ["token", "alice", "--role", "admin", "staff", "--ttl", "60", "--url", url];

    const { code, out } = await tidegate(words, { API_KEYS: "first:one,second:two" });

    expect({ code, out }).toEqual({ code: 0, out: "t.o.k\n" });
    expect(calls[0]).toEqual({
      call: "POST /v1/sessions",
      authorization: "Bearer one",
      body: { userId: "alice", roles: ["admin", "staff"], ttlSeconds: 60 },
    });
  });

  test("fails with the gateway's message if it refuses", async () => {
    const { url } = await backend(404, { code: "unknown_channel", detail: "No such kind." });

    const { code, err } = await tidegate(["publish", "x:1", "e", "{}", "--url", url]);

    expect({ code, err }).toEqual({ code: 1, err: "unknown_channel: No such kind.\n" });
  });

  test.each([
    ["token", ["token", "alice"]],
    ["publish", ["publish", "chat:1", "message", "1"]],
    ["trace", ["trace", "--user", "alice", "--operator", "s"]],
  ])("%s fails if another server answers", async (_, words) => {
    for (const answer of ["a page", {}, null]) {
      const { url } = await backend(200, answer);

      const { code, out, err } = await tidegate([...words, "--url", url]);

      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toBe(`another server than a gateway answered at ${url} (see --url)\n`);
    }
  });

  test("has no token to print if the gateway signs none", async () => {
    const { url } = await backend(201, { sessionId: "s", token: null, expiresAt: 1 });

    const { code, out, err } = await tidegate(["token", "alice", "--url", url]);

    expect({ code, out, err }).toEqual({ code: 1, out: "", err: expect.stringContaining("has no signing key") });
  });

  test("sends a key with letters beyond ASCII as its UTF-8", async () => {
    const { url, calls } = await backend(201, { sessionId: "s", token: "t", expiresAt: 1 });

    expect((await tidegate(["token", "alice", "--url", url, "--key", "schlüssel→"])).code).toBe(0);

    const [{ authorization = "" } = {}] = calls as { authorization?: string }[];
    expect(Buffer.from(authorization, "latin1").toString()).toBe("Bearer schlüssel→");
  });

  test("a trace ends, here and on the nodes, when nobody reads it any more", async () => {
    const event = { at: 1, nodeId: "n1", kind: "disconnect" };
    const page = { events: [event], skipped: 0, silent: [], hasEnded: false };
    const { url, calls } = await backend(200, { traceId: "t", endsAt: 1 }, { ...page, stopped: 1 });
    const words = ["src/main.ts", "trace", "--user", "alice", "--url", url, "--operator", "s"];
    const program = spawn(process.execPath, words, { cwd: repository, env: { PATH: process.env["PATH"] } });
    onTestFinished(() => void program.kill());
    let complaints = "";
    program.stderr.on("data", (text: Buffer) => (complaints += text.toString()));

    program.stdout.once("data", () => program.stdout.destroy());

    expect(await once(program, "exit")).toEqual([0, null]);
    expect(complaints).toBe("");
    expect(calls.at(-1)).toMatchObject({ call: "DELETE /v1/operator/traces/t" });
  });

  test("traces until the trace ends, also while nothing happens", async () => {
    const page = { events: [], skipped: 0, silent: [] };
    const event = { at: 1, nodeId: "n1", kind: "disconnect", detail: "gone" };
    const { url, calls } = await backend(
      200,
      { traceId: "t", endsAt: 1 },
      { ...page, hasEnded: false },
      { ...page, events: [event], hasEnded: true },
      { ...page, hasEnded: true },
    );

    const { code, out } = await tidegate(["trace", "--user", "alice", "--url", url, "--operator", "s"]);

    expect(code).toBe(0);
    expect(out).toContain("n1  disconnect  gone");
    expect(calls).toHaveLength(4);
  });

  test("fails if no gateway answers, and if the data is not JSON", async () => {
    const silent = await tidegate(["publish", "x:1", "e", "{}", "--url", "http://127.0.0.1:1"]);
    const rounded = await tidegate(["publish", "x:1", "e", '{"id":9007199254740993}']);
    const broken = await tidegate(["publish", "x:1", "e", "{"]);

    expect(silent).toMatchObject({ code: 1, err: expect.stringContaining("no gateway answered") });
    expect(rounded).toMatchObject({ code: 1, err: expect.stringContaining("id: is a number with too many digits") });
    expect(broken).toMatchObject({ code: 1, err: expect.stringContaining("not JSON") });
  });
});

interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs the program with these variables and no others of ours. */
function tidegate(words: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const options = { cwd: repository, env: { PATH: process.env["PATH"], ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, ["src/main.ts", ...words], options, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}

/** Somebody who answers as a gateway would, each call with the next answer, and keeps what was asked. */
async function backend(status: number, ...answers: unknown[]): Promise<{ url: string; calls: object[] }> {
  const calls: object[] = [];
  const server = createServer((incoming, outgoing) => {
    void readJson(incoming).then((body) => {
      const { method, url, headers } = incoming;
      calls.push({ call: `${method} ${url}`, authorization: headers.authorization, body });
      const answer = answers[Math.min(calls.length, answers.length) - 1];
      outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of incoming) text += String(chunk);
  return text === "" ? undefined : JSON.parse(text);
}

test("a program in this checkout imports every entry of the package without a build", async () => {
  const entries = ["tidegate", "tidegate/contract", "tidegate/testing"];
  const program = `for (const entry of ${JSON.stringify(entries)}) console.log(import.meta.resolve(entry));`;
  const args = ["--import", "./scripts/tidegate-source.ts", "--input-type=module", "--eval", program];

  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: repository });

  const files = stdout.trim().split("\n");
  expect(files).toHaveLength(entries.length);
  for (const file of files) expect(file).toMatch(/\/src\/[\w/]+\.ts$/);
});
