import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { pythonPath } from "../../scripts/needs.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";

const python = pythonPath();
if (python === undefined) console.error("PYTHON3-SOCKETIO IS MISSING: the Python code of the docs is not tested.");

const page = readFileSync(join(repository, "docs/clients-other-languages.md"), "utf8");
const [readerClass = ""] = [...page.matchAll(/^```python\n(.*?)^```$/gms)].map(([, block = ""]) => block);

/** Prints every publication; exits when its input ends. */
const driver = `
import json
import sys
import urllib.request


async def fetch_token():
    request = urllib.request.Request(sys.argv[2], b"{}", json.loads(sys.argv[3]))
    return json.load(urllib.request.urlopen(request))["token"]


def show(publication):
    print("publication", publication["offset"], publication["data"], flush=True)


async def main():
    reader = Reader(sys.argv[1], fetch_token, show, lambda channel, reason: print("lost", channel, reason, flush=True))
    await reader.subscribe("news:python")
    reader.client.on("connect", lambda: print("connected", flush=True))
    await reader.run()


asyncio.run(main())
`;

/** Runs the documented class against the gateway through a proxy that can fail. */
async function startReader() {
  const gateway = await startGateway();
  const { sessionId } = await gateway.signIn("ada");
  const proxy = await startTcpProxy({ targets: () => [{ port: Number(new URL(gateway.url).port) }] });
  const folder = mkdtempSync(join(tmpdir(), "tidegate-python-"));
  writeFileSync(join(folder, "reader.py"), readerClass + driver);
  const headers = JSON.stringify({ authorization: `Bearer ${apiKey}`, "content-type": "application/json" });
  const tokenUrl = `${gateway.url}/v1/sessions/${sessionId}/token`;
  const args = [join(folder, "reader.py"), `http://127.0.0.1:${proxy.port}`, tokenUrl, headers];
  const child = spawn(python ?? "", args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += String(chunk)));
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    await proxy.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const lines = (start: string): string[] => output.split("\n").filter((line) => line.startsWith(start));
  const publish = (n: number) =>
    gateway.call("POST", "/v1/publish", { channel: "news:python", event: "tick", data: n });
  return { proxy, lines, publish, gateway };
}

const expectedUpTo = (last: number): string[] =>
  Array.from({ length: last }, (_, index) => `publication ${index + 1} ${index + 1}`);

describe.skipIf(python === undefined)("Python", () => {
  test("a client is cut off and recovers by position: every publication once and in order", async () => {
    const { proxy, lines, publish, gateway } = await startReader();
    await eventually(async () => {
      const { channels } = (await gateway.call("GET", "/v1/channels?prefix=news:python")).body;
      expect(channels).toEqual([{ channel: "news:python", subscribers: 1 }]);
    });
    for (let n = 1; n <= 5; n += 1) await publish(n);
    await eventually(() => expect(lines("publication")).toEqual(expectedUpTo(5)));

    proxy.cut();
    for (let n = 6; n <= 10; n += 1) await publish(n);
    await proxy.heal();

    await eventually(() => expect(lines("publication")).toEqual(expectedUpTo(10)));
    await publish(11);
    await eventually(() => expect(lines("publication")).toEqual(expectedUpTo(11)));
    expect(lines("connected").length).toBeGreaterThanOrEqual(2);
    expect(lines("lost")).toEqual([]);
  });

  test("a client whose channel has lost publications is told, and goes on; one that may not read it is told, too", async () => {
    const { lines, publish, gateway } = await startReader();
    const subscribers = async () =>
      (await gateway.call("GET", "/v1/channels?prefix=news:python")).body.channels[0]?.subscribers;
    await eventually(async () => expect(await subscribers()).toBe(1));
    await publish(1);
    await eventually(() => expect(lines("publication")).toEqual(expectedUpTo(1)));

    await gateway.call("DELETE", "/v1/channels/news:python/history");
    await eventually(() => expect(lines("lost")).toEqual([expect.stringContaining("reload your state")]));
    await publish(2);

    await eventually(() => expect(lines("publication").at(-1)).toMatch(/^publication \d+ 2$/));
    await gateway.call("POST", "/v1/users/ada/unsubscribe", { channel: "news:python" });
    await eventually(() => expect(lines("lost")[1]).toContain("forbidden"));
    expect(lines("publication")).toHaveLength(2);
  });

  test("the example publishes over HTTP, once for a retry, and reports refusals by code", async () => {
    const { url, call } = await startGateway();
    const folder = join(repository, "examples/python-publisher");
    const script = [
      "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True",
      "import json, publish",
      "p = publish.Publisher(sys.argv[2], sys.argv[3])",
      "first = p.publish('news:python', 'headline', {'text': 'Hello'}, key='k-1')",
      "again = p.publish('news:python', 'headline', {'text': 'Hello'}, key='k-1')",
      "batch = p.publish_batch([{'channel': 'news:python', 'event': 'tick', 'data': 1}, {'channel': 'x', 'event': 'e', 'data': 1}])",
      "try: publish.Publisher(sys.argv[2], 'wrong').publish('news:python', 'e', 1)",
      "except publish.PublishError as error: code = error.code",
      "print(json.dumps([first, again, batch, code]))",
    ].join("\n");

    const { stdout } = await promisify(execFile)(python ?? "", ["-c", script, folder, url, apiKey]);

    const [first, again, batch, code] = JSON.parse(stdout);
    expect([first.offset, again.offset, again.duplicate, code]).toEqual([1, 1, true, "unauthorized"]);
    expect(batch).toMatchObject([
      { ok: true, offset: 2 },
      { ok: false, error: { code: "unknown_channel" } },
    ]);
    const { publications } = (await call("GET", "/v1/channels/news:python/history")).body;
    expect(publications.map(({ data }: any) => data)).toEqual([{ text: "Hello" }, 1]);
  });
});
