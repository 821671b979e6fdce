/**
 * How long the connections of 1,000 signed-in users over three nodes keep a subscription after their sessions lost the grant,
 * and until `PATCH /v1/sessions/{id}` is confirmed by every node; beside ending the same sessions. Then once more while one
 * node is frozen: its connections are fenced, and the calls return without its confirmation once its lease has expired.
 *
 *   node bench/rights.ts [users]      writes bench/results/rights.md
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { io, type Socket } from "socket.io-client";
import { ended, machine, startOn } from "./support/machine.ts";
import { accepts, freePort } from "./support/measured-servers.ts";
import { freshFolder } from "./support/native.ts";
import { writeResult } from "./support/results.ts";

const userCount = Number(process.argv[2] ?? 1_000);
const nodeCount = 3;
const maxCalls = 32;
const apiKey = "bench-key-of-at-least-thirty-two-bytes";

interface User {
  sessionId: string;
  token: string;
  socket: Socket;
}

interface Measured {
  /** Milliseconds from each call until its client had lost the subscription or connection; of clients that were told. */
  effect: number[];
  /** Milliseconds until each call returned. */
  answered: number[];
  /** Nodes that confirmed, of those asked, by call. */
  acknowledged: string[];
}

const redisPort = await freePort();
const redis = startOn(1, ["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", ""]);
await accepts(redisPort);
const settings = join(freshFolder(), "gateway.json");
const limits = { handshakes: { capacity: 100_000, refillPerSecond: 100_000 } };
writeFileSync(settings, JSON.stringify({ limits, channels: { room: { subscribe: "granted" } } }));
const nodes = await Promise.all(
  Array.from({ length: nodeCount }, async () => {
    const port = await freePort();
    const child = startOn(0, [process.execPath, fileURLToPath(new URL("../src/main.ts", import.meta.url)), "start"], {
      PORT: `${port}`,
      HOST: "127.0.0.1",
      REDIS_URL: `redis://127.0.0.1:${redisPort}`,
      API_KEYS: `bench:${apiKey}`,
      LOG_LEVEL: "error",
      GATEWAY_CONFIG: settings,
    });
    await accepts(port);
    return { port, child };
  }),
);

const changed = await measure("PATCH", "unsubscribed");
const revoked = await measure("DELETE", "disconnect");
const frozen = await measure("PATCH", "unsubscribed", () => nodes[2]?.child.kill("SIGSTOP"));
nodes[2]?.child.kill("SIGCONT");
await Promise.all(nodes.map(({ child }) => ended(child)));
await ended(redis);
writeResult("rights", table());

/** `freeze` stops the last node once its clients are subscribed; their connections are not measured. */
async function measure(method: "PATCH" | "DELETE", event: string, freeze?: () => unknown): Promise<Measured> {
  const users: User[] = [];
  const connectTo = freeze === undefined ? nodeCount : nodeCount - 1;
  const round = `${method}-${freeze === undefined ? "all" : "frozen"}`;
  await eachOf(userCount, async (index) => void users.push(await signIn(`${round}-${index}`, index % connectTo)));
  freeze?.();
  const result: Measured = { effect: [], answered: [], acknowledged: [] };
  await eachOf(users.length, async (index) => {
    const { sessionId, socket } = users[index] as User;
    const begun = performance.now();
    const effect = new Promise<void>((resolve) => {
      socket.once(event, () => {
        result.effect.push(performance.now() - begun);
        resolve();
      });
    });
    const body = method === "PATCH" ? { channels: {} } : undefined;
    const answer = (await call(method, `/v1/sessions/${sessionId}`, body)) as { nodes: number; acknowledged: number };
    result.answered.push(performance.now() - begun);
    result.acknowledged.push(`${answer.acknowledged} of ${answer.nodes}`);
    await effect;
  });
  for (const { socket } of users) socket.disconnect();
  return result;
}

async function signIn(userId: string, node: number): Promise<User> {
  const channels = { subscribe: ["room:1"] };
  const session = (await call("POST", "/v1/sessions", { userId, channels })) as { sessionId: string; token: string };
  const socket = io(`http://127.0.0.1:${nodes[node]?.port}`, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: false,
    auth: { token: session.token },
  });
  await new Promise<void>((resolve, reject) => socket.once("ready", () => resolve()).once("connect_error", reject));
  await socket.emitWithAck("subscribe", { channel: "room:1" });
  return { ...session, socket };
}

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${nodes[0]?.port}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** At most `maxCalls` at a time. */
async function eachOf(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: maxCalls }, async () => {
      while (next < count) await act(next++);
    }),
  );
}

function table(): string {
  return [
    `# Changed rights\n\n${machine()}; ${userCount} users over ${nodeCount} nodes, ${maxCalls} calls at a time; milliseconds from a call.\n`,
    "|  | half effective | p99 effective | last effective | half answered | last answered | confirmed by |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    row("`PATCH` without the grant, until `unsubscribed`", changed),
    row("`DELETE` of the session, until closed", revoked),
    row("`PATCH` while one node is frozen", frozen),
  ].join("\n");
}

function row(name: string, { effect, answered, acknowledged }: Measured): string {
  const cells = [
    quantile(effect, 0.5),
    quantile(effect, 0.99),
    quantile(effect, 1),
    quantile(answered, 0.5),
    quantile(answered, 1),
  ];
  const confirmed = [...new Set(acknowledged)].toSorted().join(", ");
  return `| ${[name, ...cells.map((ms) => ms.toFixed(1)), confirmed].join(" | ")} |`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}
