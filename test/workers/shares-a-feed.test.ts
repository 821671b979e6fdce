import { once } from "node:events";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { connectClient, told, type Client } from "../support/gateway.ts";
import { startStore, type StoreLab } from "../support/store-lab.ts";
import { startWorkers, type WorkersProcess } from "../support/workers.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const prefix = freshPrefix();

let store: StoreLab;
let gateway: WorkersProcess;

beforeAll(async () => {
  store = await startStore("single");
  gateway = await startWorkers({
    env: { ...store.env, KEY_PREFIX: prefix, WORKER_FEED: "shared" },
    // Reaches back over all that is published until a frozen primary process is noticed.
    file: { channels: { chat: { subscribe: "public", publish: "public", history: { size: 50_000 } } } },
  });
}, 120_000);
afterAll(async () => {
  await gateway?.kill();
  await store?.stop();
});

test("two workers share one subscription, and lose nothing by any fault of it", { timeout: 180_000 }, async () => {
  const clients = await readers(12);
  expect(new Set(clients.map(({ ready }) => ready["nodeId"]))).toEqual(new Set(["lab-1", "lab-2"]));
  await eventually(async () => expect(await subscriptions()).toBe(1));
  const flow = startFlow();

  // The connection of the primary process to Redis
  const heard = flow.count();
  await server().ask("CLIENT", "KILL", "TYPE", "pubsub");
  await eventually(() => expect(flow.count()).toBeGreaterThan(heard + 20));
  await eventually(async () => expect(await subscriptions()).toBe(1));

  // The primary process, which hangs: the subscription that it still has is of no use
  process.kill(gateway.pid, "SIGSTOP");
  onTestFinished(() => void process.kill(gateway.pid, "SIGCONT"));
  await eventually(async () => expect(await subscriptions()).toBeGreaterThan(1));
  const whileStopped = flow.count();
  await eventually(() => expect(clients.every((client) => offsetsOf(client).includes(whileStopped))).toBe(true));
  process.kill(gateway.pid, "SIGCONT");
  await eventually(async () => expect(await subscriptions()).toBe(1));

  // A worker
  const own = clients.filter(({ ready }) => ready["nodeId"] === "lab-1");
  const cuts = own.map((client) => once(client as unknown as NodeJS.EventEmitter, "disconnect"));
  process.kill(gateway.pids().get(1) ?? 0, "SIGKILL");
  await Promise.all(cuts);
  await eventually(() => expect(clients.every(({ connected }) => connected)).toBe(true));
  await eventually(async () => expect(await subscriptions()).toBe(1));

  const all = await flow.stop();
  await eventually(() => expect(clients.map(offsetsOf)).toEqual(clients.map(() => all)));
});

const server = () => store.servers[0]!;

/** Connections to Redis that receive the channel. */
async function subscriptions(): Promise<number> {
  const [, count] = (await server().ask("PUBSUB", "SHARDNUMSUB", createKeys(prefix).channelFeed(channel))) as unknown[];
  return Number(count);
}

/** Publications one after another; `stop` returns the offsets. */
function startFlow() {
  const offsets: number[] = [];
  let isFlowing = true;
  const ended = (async () => {
    while (isFlowing) {
      const publication = { channel, event: "message", data: {} };
      // A worker that is killed answers nothing.
      const answer = await gateway.call("POST", "/v1/publish", publication).catch(() => undefined);
      if (answer?.status === 200) offsets.push(answer.body.offset as number);
    }
  })();
  return {
    count: () => offsets.length,
    async stop() {
      isFlowing = false;
      await ended;
      return Array.from({ length: offsets.at(-1) ?? 0 }, (_, index) => index + 1);
    },
  };
}

/** Stock clients on both workers that come back by themselves, subscribed. */
async function readers(count: number): Promise<Client[]> {
  const { token } = await gateway.signIn("alice");
  const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 500 };
  const clients = await Promise.all(Array.from({ length: count }, () => connectClient(gateway.url, token, options)));
  await Promise.all(clients.map((client) => client.emitWithAck("subscribe", { channel })));
  return clients;
}

const offsetsOf = (client: Client): number[] => told(client, "publication").map(({ offset }) => offset as number);
