/**
 * How long a user's sockets live on after "log out everywhere": 450 sockets over three nodes, beside stock Socket.IO's
 * `disconnectSockets` on three servers with the Redis adapter, taking turns in one run. The time runs from the call
 * until a socket has heard that it is closed; Tidegate's answer comes after that, and says that every node confirmed.
 *
 *   node bench/revocation.ts [sockets] [rounds]      writes bench/results/revocation.md
 */
import { fileURLToPath } from "node:url";
import { io, type Socket } from "socket.io-client";
import { ended, machine, median, startOn } from "./support/machine.ts";
import { freePort, accepts } from "./support/measured-servers.ts";
import { writeResult } from "./support/results.ts";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshFolder } from "./support/native.ts";

const socketCount = Number(process.argv[2] ?? 450);
const rounds = Number(process.argv[3] ?? 10);
const nodeCount = 3;
const apiKey = "bench-key-of-at-least-thirty-two-bytes";
const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

interface Round {
  /** Milliseconds until each socket had heard of it. */
  closed: number[];
  /** Milliseconds until the call was answered; undefined where the answer says nothing. */
  answered: number | undefined;
}

const redisPort = await freePort();
const redis = startOn(1, ["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", ""]);
await accepts(redisPort);
const settings = join(freshFolder(), "gateway.json");
writeFileSync(
  settings,
  JSON.stringify({
    limits: { connectionsPerUser: 100_000, handshakes: { capacity: 100_000, refillPerSecond: 100_000 } },
  }),
);

const tidegates = await startAll((port) =>
  startOn(0, [process.execPath, pathOf("../src/main.ts"), "start"], {
    PORT: `${port}`,
    HOST: "127.0.0.1",
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    API_KEYS: `bench:${apiKey}`,
    LOG_LEVEL: "warn",
    GATEWAY_CONFIG: settings,
  }),
);
const stocks = await startAll((port) =>
  startOn(0, [process.execPath, pathOf("servers/stock-cluster.ts"), `${port}`, `${redisPort}`]),
);

const ours: Round[] = [];
const theirs: Round[] = [];
for (let round = -1; round < rounds; round++) {
  const [tidegate, stock] = [await revokeOurs(`user-${round}`), await revokeTheirs(`user-${round}`)];
  // The first round is a warm-up.
  if (round === -1) continue;
  ours.push(tidegate);
  theirs.push(stock);
}
await Promise.all([...tidegates, ...stocks].map(({ child }) => ended(child)));
await ended(redis);
writeResult("revocation", table());

async function startAll(start: (port: number) => ReturnType<typeof startOn>) {
  return Promise.all(
    Array.from({ length: nodeCount }, async () => {
      const port = await freePort();
      const child = start(port);
      await accepts(port);
      return { port, child };
    }),
  );
}

async function revokeOurs(userId: string): Promise<Round> {
  const base = `http://127.0.0.1:${tidegates[0]?.port}`;
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const session = await fetch(`${base}/v1/sessions`, { method: "POST", headers, body: JSON.stringify({ userId }) });
  const { token } = (await session.json()) as { token: string };
  const sockets = await connectAll(tidegates, { token }, "ready");
  const begun = performance.now();
  const closed = sockets.map((socket) => closedAfter(socket, begun));
  const answer = await fetch(`${base}/v1/users/${userId}/sessions`, { method: "DELETE", headers });
  const body = (await answer.json()) as { disconnected: number; nodes: number; acknowledged: number };
  const answered = performance.now() - begun;
  if (body.disconnected !== sockets.length || body.acknowledged !== nodeCount) throw new Error(JSON.stringify(body));
  return { closed: await Promise.all(closed), answered };
}

async function revokeTheirs(user: string): Promise<Round> {
  const sockets = await connectAll(stocks, { user }, "connect");
  const begun = performance.now();
  const closed = sockets.map((socket) => closedAfter(socket, begun));
  await fetch(`http://127.0.0.1:${stocks[0]?.port}/disconnect/${user}`, { method: "POST" });
  return { closed: await Promise.all(closed), answered: undefined };
}

function connectAll(nodes: readonly { port: number }[], auth: object, event: string): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: socketCount }, async (_, index) => {
      const { port } = nodes[index % nodes.length] as { port: number };
      const socket = io(`http://127.0.0.1:${port}`, {
        transports: ["websocket"],
        forceNew: true,
        reconnection: false,
        auth,
      });
      await new Promise<void>((resolve, reject) => socket.once(event, () => resolve()).once("connect_error", reject));
      return socket;
    }),
  );
}

function closedAfter(socket: Socket, begun: number): Promise<number> {
  return new Promise((resolve) => socket.once("disconnect", () => resolve(performance.now() - begun)));
}

function table(): string {
  return [
    `# Revocation\n\n${machine()}; ${socketCount} sockets of one user over ${nodeCount} nodes, ${rounds} rounds; milliseconds.\n`,
    "|  | half closed | p99 closed | last closed | answered, every node confirmed |",
    "| --- | --- | --- | --- | --- |",
    row("**Tidegate**, log out everywhere", ours),
    row("stock, `disconnectSockets`", theirs),
  ].join("\n");
}

function row(name: string, measured: readonly Round[]): string {
  const at = (share: number): string => median(measured.map(({ closed }) => quantile(closed, share))).toFixed(1);
  const answers = measured.map(({ answered }) => answered).filter((ms) => ms !== undefined);
  return `| ${name} | ${at(0.5)} | ${at(0.99)} | ${at(1)} | ${answers.length === 0 ? "never: nothing is confirmed" : median(answers).toFixed(1)} |`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}
