import { spawn } from "node:child_process";
import { describe, expect, onTestFinished, test } from "vitest";
import { needs, pythonPath } from "../../scripts/needs.ts";
import { ownProcess } from "../support/child.ts";
import { apiKey, openClient, startGateway, told, type Client } from "../support/gateway.ts";
import { freePort } from "../support/redis-server.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const backends = [
  {
    name: "PHP",
    isMissing: !needs.php.isInstalled(),
    command: (port: number) => ["php", "-S", `localhost:${port}`, "examples/php-backend/server.php"],
  },
  {
    name: "Python",
    isMissing: pythonPath() === undefined,
    command: (port: number) => [pythonPath() ?? "", "examples/python-backend/server.py", `${port}`],
  },
];
for (const { name, isMissing } of backends)
  if (isMissing) console.error(`${name.toUpperCase()} IS MISSING: the example of a backend in ${name} is not tested.`);

/** A gateway whose app is the backend, which publishes through the gateway. */
async function startBehindGateway(command: (port: number) => string[]) {
  const port = await freePort();
  const gateway = await startGateway({
    file: {
      channels: { chat: { subscribe: "none" }, news: { subscribe: "public" } },
      app: { url: `http://localhost:${port}/socket`, secret, hooks: ["connect"] },
    },
  });
  const [program = "", ...words] = command(port);
  const own = { APP_SECRET: secret, API_KEY: apiKey, GATEWAY: gateway.url, PYTHONDONTWRITEBYTECODE: "1" };
  const env = { PATH: process.env["PATH"], ...own };
  const backend = ownProcess(spawn(program, words, { cwd: repository, env, stdio: "ignore" }));
  onTestFinished(async () => void (await backend.kill()));
  const post = (path: string, body: unknown) =>
    fetch(`http://localhost:${port}${path}`, { method: "POST", body: JSON.stringify(body) });
  await eventually(async () => expect((await post("/nothing", {})).status).toBe(404));
  return { gateway, post };
}

async function comeIn(url: string, auth: object): Promise<Client> {
  const client = openClient(url, "", { auth });
  await new Promise<void>((resolve, reject) => {
    client.once("ready", () => resolve());
    client.once("connect_error", reject);
  });
  return client;
}

describe.each(backends)("a backend in $name behind the gateway", ({ isMissing, command }) => {
  test.skipIf(isMissing)("signs in, answers events, publishes, and trusts nobody else", async () => {
    const { gateway, post } = await startBehindGateway(command);
    await expect(comeIn(gateway.url, { name: "no name!" })).rejects.toThrow("login_required");
    const [ada, bob] = [await comeIn(gateway.url, { name: "ada" }), await comeIn(gateway.url, { name: "bob" })];
    expect(ada.ready).toMatchObject({ userId: "ada" });

    expect(await bob.emitWithAck("join")).toEqual({ ok: true });
    expect(await ada.emitWithAck("say", "hello")).toEqual({ ok: true });
    expect(await ada.emitWithAck("sing")).toMatchObject({ ok: false });
    await eventually(() =>
      expect(told(bob, "publication")).toMatchObject([
        { channel: "chat:lobby", offset: 1, event: "said", data: { text: "hello" }, from: { userId: "ada" } },
      ]),
    );

    await ada.emitWithAck("subscribe", { channel: "news:today" });
    expect(await (await post("/announce", { text: "it rains" })).json()).toMatchObject({ offset: 1, duplicate: false });
    await eventually(() => expect(told(ada, "publication")).toMatchObject([{ data: { text: "it rains" } }]));

    expect((await post("/socket", { type: "connect", connection: { auth: { name: "eve" } } })).status).toBe(401);
  });
});
