import { connect } from "../client/client.ts";
import { urlBelow } from "../runtime/url-below.ts";
import {
  ask,
  backendCall,
  ok,
  skipped,
  timeoutMs,
  wrong,
  type CheckOutcome,
  type Deployment,
  type DoctorCheck,
  type Overview,
} from "./doctor-calls.ts";

/** Connections to try per node before one counts as out of reach. */
const triesPerNode = 8;
const maxTries = 64;
const maxClockOffsetMs = 2_000;
/** An address of the block for documentation, which no client has. */
const madeUpAddress = "203.0.113.77";

type OverviewCheck = (overview: Overview, deployment: Deployment) => CheckOutcome | Promise<CheckOutcome>;

const forOperators =
  (check: OverviewCheck): DoctorCheck =>
  async (deployment) =>
    deployment.overview === undefined ? skipped("needs --operator") : check(await deployment.overview(), deployment);

/** What the nodes and their Redis do, as a client and an operator see it. */
export const clusterChecks: Readonly<Record<string, DoctorCheck>> = {
  "round trip": roundTrips,
  "X-Forwarded-For": forwardedAddress,
  "nodes and versions": forOperators(({ nodes, missing }) => {
    const versions = [...new Set(nodes.map(({ version }) => version))];
    const gone = missing.filter(({ state }) => state !== "left").map(({ nodeId, state }) => `${nodeId} is ${state}`);
    if (gone.length > 0) return wrong("failed", gone.join("; "), "look at its log: docs/failures.md#tidegatenodedown");
    if (versions.length > 1) return wrong("warning", versions.join(", "), "complete the rolling update");
    return ok(`${nodes.length} with version ${versions.join()}`);
  }),
  "clocks of the nodes": forOperators(({ nodes }) => {
    const detail = nodes.map(({ nodeId, clockOffsetMs }) => `${nodeId} ${clockOffsetMs} ms`).join(", ");
    const offsets = nodes.map(({ clockOffsetMs }) => clockOffsetMs);
    const isApart = Math.max(...offsets) - Math.min(...offsets) > maxClockOffsetMs;
    if (!isApart && offsets.every((offset) => Math.abs(offset) <= maxClockOffsetMs))
      return ok(`${detail} from Redis' clock`);
    return wrong("warning", `${detail} from Redis' clock`, "synchronize the nodes and Redis with NTP");
  }),
  "eviction policy": forOperators(({ store: { evictionPolicy } }) => {
    if (evictionPolicy === undefined) return skipped("Redis does not tell");
    if (evictionPolicy === "noeviction") return ok(evictionPolicy);
    return wrong("failed", `${evictionPolicy}: Redis may evict sessions`, "set maxmemory-policy noeviction");
  }),
  persistence: forOperators(async ({ store: { hasAppendOnlyFile } }, { operatorGet }) => {
    if (hasAppendOnlyFile === undefined) return skipped("Redis does not tell");
    if (hasAppendOnlyFile) return ok("append-only file");
    const { settings } = await operatorGet<{ settings: { name: string; value: unknown }[] }>("settings");
    const isExternal = settings.some(({ name, value }) => name === "durability" && value === "external");
    if (isExternal) return ok("kept by the provider, says DURABILITY=external");
    const detail = "no append-only file: a restart of Redis loses all sessions and history";
    return wrong("warning", detail, "set appendonly yes, or DURABILITY=external");
  }),
  keyspace: forOperators(({ store: { sampledKeys, foreignKeys = 0 } }) => {
    if (sampledKeys === undefined) return skipped("Redis does not tell");
    if (foreignKeys === 0) return ok(`${sampledKeys} sampled keys are Tidegate's`);
    const detail = `${foreignKeys} of ${sampledKeys} sampled keys are of other programs`;
    return wrong("warning", detail, "give Tidegate a Redis or a database of its own (REDIS_DB)");
  }),
  "client addresses": forOperators(async (_overview, { operatorGet }) => {
    const { connections } = await operatorGet<{ connections: { address: string; userId: string }[] }>("connections");
    const addresses = new Set(connections.map(({ address }) => address));
    const users = new Set(connections.map(({ userId }) => userId));
    if (addresses.size !== 1 || users.size < 5)
      return ok(`${connections.length} connections from ${addresses.size} addresses`);
    const detail = `${users.size} users all come from ${[...addresses].join()}`;
    return wrong("warning", detail, "if that is your proxy, add it to TRUSTED_PROXIES");
  }),
};

interface TestUser {
  userId: string;
  token: string;
}

/** With a session that lasts as long as `use`; nothing of it stays. */
async function withTestUser<T>({ url, key }: Deployment, use: (user: TestUser) => Promise<T>): Promise<T> {
  const userId = `doctor-${crypto.randomUUID()}`;
  const { token } = await backendCall<{ token: string }>(url, key, "POST", "/v1/sessions", { userId, ttlSeconds: 60 });
  try {
    return await use({ userId, token });
  } finally {
    await backendCall(url, key, "DELETE", `/v1/users/${userId}/sessions`).catch(() => undefined);
  }
}

interface UserConnections {
  connections: { nodeId: string; address: string; connectedAt: number }[];
  nodes: number;
}

/** The latest connection (earlier ones may still be listed), and how many nodes there are. */
async function lastConnection({ url, key }: Deployment, userId: string) {
  const answer = await backendCall<UserConnections>(url, key, "GET", `/v1/users/${userId}/connections`);
  const [last] = answer.connections.toSorted((a, b) => b.connectedAt - a.connectedAt);
  if (last === undefined) throw new Error("the connection is not listed");
  return { ...last, nodes: answer.nodes };
}

/** Connects until the proxy has chosen every node once, and lets a publication come back through each. */
async function roundTrips(deployment: Deployment): Promise<CheckOutcome> {
  const reached = new Map<string, number>();
  let count = 1;
  await withTestUser(deployment, async (user) => {
    for (let tries = 0; reached.size < count && tries < Math.min(count * triesPerNode, maxTries); tries++) {
      const { nodeId, ms, nodes } = await roundTrip(deployment, user);
      count = nodes;
      if (!reached.has(nodeId)) reached.set(nodeId, ms);
    }
  });
  const detail = [...reached].map(([nodeId, ms]) => `${nodeId} in ${ms} ms`).join(", ");
  if (reached.size >= count) return ok(`published and received through ${detail}`);
  const missed = `${detail}; the proxy chose no other of ${count} nodes`;
  return wrong("warning", missed, "if it balances by address, repeat with --url of each node");
}

async function roundTrip(deployment: Deployment, { userId, token }: TestUser) {
  const { url, key } = deployment;
  const { origin, pathname: path } = urlBelow(url, "/socket.io/");
  const client = connect(origin, { token, socket: { path } });
  try {
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    const channel = client.channel(`user:${userId}`);
    channel.on("publication", () => resolve());
    await Promise.race([channel.subscribe(), rejectedAfter("the client could not connect and subscribe")]);
    const { nodeId, nodes } = await lastConnection(deployment, userId);
    const startedAt = performance.now();
    await backendCall(url, key, "POST", "/v1/publish", { channel: `user:${userId}`, event: "doctor", data: null });
    await Promise.race([arrived, rejectedAfter("no publication arrived")]);
    return { nodeId, ms: Math.round(performance.now() - startedAt), nodes };
  } finally {
    client.close();
  }
}

/** Opens a stream with a made-up address in the header, and looks which one the gateway has noted. */
async function forwardedAddress(deployment: Deployment): Promise<CheckOutcome> {
  return withTestUser(deployment, async ({ userId, token }) => {
    const headers = { authorization: `Bearer ${token}`, "x-forwarded-for": madeUpAddress };
    const stream = await ask(deployment.url, `/v1/stream?channel=user:${userId}`, { headers });
    const { address } = await lastConnection(deployment, userId);
    await stream.body?.cancel();
    if (address !== madeUpAddress) return ok(`what a client sends is not believed; this machine is ${address}`);
    const detail = "clients may choose the address that limits count them by";
    return wrong("warning", detail, "let the proxy set X-Forwarded-For ($remote_addr), and trust only it");
  });
}

const rejectedAfter = (message: string): Promise<never> =>
  new Promise((_resolve, reject) => setTimeout(() => reject(new Error(message)), timeoutMs).unref());
