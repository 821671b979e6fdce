import { Emitter } from "@socket.io/redis-emitter";
import { encode } from "notepack.io";
import { describe, expect, it, onTestFinished } from "vitest";
import { createRedisConnections, type RedisClient } from "../../src/redis/connections.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ErrorReporter } from "../../src/connections/error-reporter.ts";
import { createRoomAdapter } from "../../src/connections/room-adapter.ts";
import { connected, startEdge, stockClient, type Edge } from "../support/edge.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { quietLog, redisWorld, testMetrics } from "../support/world.ts";

interface Pair {
  edges: Edge[];
  redis: RedisClient;
  key: string;
}

/** Two nodes whose rooms meet in Redis. */
async function startPair(): Promise<Pair> {
  const failures = new ErrorReporter({ clock: systemClock, log: quietLog, metrics: testMetrics() });
  const { redis, prefix: key } = await redisWorld();
  const edges: Edge[] = [];
  for (const node of [redis, (await redisWorld()).redis]) {
    const publisher = node.connection("control-publisher");
    const subscriber = node.connection("control-subscriber");
    const fence = { isOpen: true, opened: () => Promise.resolve() };
    const deps = { publisher, subscriber, fence, failures, clock: systemClock, log: quietLog };
    const adapter = createRoomAdapter(deps, { key });
    edges.push(await startEdge({ adapter, onConnect: (connection) => connection.join("news:sport") }));
  }
  const commands = redis.connection("commands");
  await expect.poll(async () => (await commands.pubsub("NUMSUB", `${key}-request#/#`))[1]).toBe(2);
  return { edges, redis: commands, key };
}

/** Connections to a Redis of the test's own. */
function ownConnections(port: number) {
  const address = { topology: "single", url: `redis://127.0.0.1:${port}` } as const;
  const connections = createRedisConnections({ address, nodeId: "rooms", log: quietLog });
  onTestFinished(() => connections.close());
  return {
    publisher: connections.connection("control-publisher"),
    subscriber: connections.connection("control-subscriber"),
  };
}

/** One reader on each node, and what each hears. */
async function readers({ edges }: Pair, event: string): Promise<unknown[][]> {
  const heard = edges.map((): unknown[] => []);
  for (const [node, { url }] of edges.entries()) {
    const client = await connected(stockClient(url, { transports: ["websocket"] }));
    client.on(event, (...args: unknown[]) => heard[node]!.push(args));
  }
  const sizes = () => edges.map(({ sockets }) => sockets.io.sockets.adapter.rooms.get("news:sport")?.size);
  await expect.poll(sizes).toEqual([1, 1]);
  return heard;
}

describe("rooms over two nodes", () => {
  it("are reached by an unmodified emitter, each reader once", async () => {
    const pair = await startPair();
    const heard = await readers(pair, "score");
    const emitter = new Emitter(pair.redis, { key: pair.key });

    emitter.to("news:sport").emit("score", { home: 1 }, ["x", null, 1.5]);
    emitter.to("news:other").emit("score", "not for them");
    emitter.emit("score", Buffer.from("bytes"));

    const all = [[{ home: 1 }, ["x", null, 1.5]], [Buffer.from("bytes")]];
    await expect.poll(() => heard).toEqual([all, all]);
  });

  it("can be emptied, filled and counted from another node", async () => {
    const pair = await startPair();
    await readers(pair, "score");
    const [one, two] = pair.edges;

    await expect.poll(() => one!.sockets.io.fetchSockets()).toHaveLength(2);
    one!.sockets.io.socketsJoin("all");
    await expect.poll(() => two!.sockets.io.sockets.adapter.rooms.get("all")?.size).toBe(1);
    one!.sockets.io.in("nobody").disconnectSockets(true);
    expect(two!.sockets.connections.count).toBe(1);
    new Emitter(pair.redis, { key: pair.key }).in("all").disconnectSockets(true);

    await expect.poll(() => pair.edges.map(({ sockets }) => sockets.connections.count)).toEqual([0, 0]);
  });

  it("fail for whoever asks all nodes while Redis does not answer", async () => {
    const failures = new ErrorReporter({ clock: systemClock, log: quietLog, metrics: testMetrics() });
    const redis = await startRedisProcess();
    onTestFinished(() => void redis.stop());
    const { publisher, subscriber } = ownConnections(redis.port);
    const fence = { isOpen: true, opened: () => Promise.resolve() };
    const deps = { publisher, subscriber, fence, failures, clock: systemClock, log: quietLog };
    const { sockets } = await startEdge({ adapter: createRoomAdapter(deps, { requestsTimeoutMs: 50 }) });
    expect(await sockets.io.fetchSockets()).toEqual([]);

    await redis.kill();

    await expect(sockets.io.fetchSockets()).rejects.toThrow("timeout reached");
    await expect(sockets.io.serverSideEmitWithAck("any")).rejects.toThrow("timeout reached");
  });

  it("survive whatever is published on their channels", async () => {
    const pair = await startPair();
    const heard = await readers(pair, "score");
    const channels = [
      `${pair.key}#/#`,
      `${pair.key}#/#news:sport#`,
      `${pair.key}-request#/#`,
      `${pair.key}-response#/#`,
    ];

    const payloads = malformed();
    for (const channel of channels) await Promise.all(payloads.map((payload) => pair.redis.publish(channel, payload)));
    await flood(pair.redis, channels, 5_000);

    new Emitter(pair.redis, { key: pair.key }).to("news:sport").emit("score", "after");
    await expect.poll(() => heard.map((args) => args.at(-1))).toEqual([["after"], ["after"]]);
    for (const edge of pair.edges) expect(edge.sockets.connections.count).toBe(1);
  });
});

/** What ended stock nodes, and what else could. */
function malformed(): (string | Buffer)[] {
  const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
  const packed = (value: unknown): Buffer => Buffer.from(encode(value) as Uint8Array);
  const toReaders = (data: unknown): Buffer =>
    packed(["x", { type: 2, data, nsp: "/" }, { rooms: ["news:sport"], except: [], flags: {} }]);
  const types = [...Array(11).keys()];
  return [
    "",
    "{",
    "{}",
    "null",
    "nonsense",
    `{"type":0,"rooms":${deep(100_000)}}`,
    `{"type":6,"data":${deep(3_000)}}`,
    ...types.map((type) => `{"type":${type}}`),
    ...types.map((type) => `{"type":${type},"requestId":"r","opts":null,"data":7,"rooms":7,"sid":{}}`),
    ...types.map((type) => packed({ type, requestId: "r", opts: { rooms: 7 } })),
    '{"type":6,"uid":"x","data":["error"]}',
    '{"type":6,"uid":"x","data":["connection",{}]}',
    '{"type":6,"uid":"x","requestId":"r","data":{"length":1}}',
    '{"type":7,"uid":"x","requestId":"r","opts":{"rooms":[]},"packet":{"type":2,"data":["score","with acknowledgement"]}}',
    packed([]),
    packed(["x", { type: 2, data: ["score"], nsp: "/" }]),
    packed(["x", { type: 2, data: null, nsp: "/" }, {}]),
    packed(["x", null, null]),
    // What a stock client disconnects on.
    toReaders(["connect", {}]),
    toReaders(["score", ...Array<Buffer>(11).fill(Buffer.from("x"))]),
    toReaders(["score", Buffer.from("x"), { _placeholder: true, num: 7 }]),
    Buffer.alloc(100_000, 0x91),
    Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]),
  ];
}

async function flood(redis: RedisClient, channels: string[], count: number): Promise<void> {
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const samples = malformed()
    .map((payload) => Buffer.from(payload))
    .filter(({ length }) => length > 0 && length < 1_000);
  for (let sent = 0; sent < count; sent += 100) {
    const batch = Array.from({ length: 100 }, () => {
      const bytes = Buffer.from(samples[random(samples.length)]!);
      for (let change = random(3); change >= 0; change -= 1) bytes[random(bytes.length)] = random(256);
      return redis.publish(channels[random(channels.length)]!, bytes);
    });
    await Promise.all(batch);
  }
}
