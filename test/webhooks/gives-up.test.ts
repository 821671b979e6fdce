import { createServer } from "node:http";
import { inject, expect, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { eager, startWebhooksNode, status } from "../support/webhooks-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

test("after the last attempt a message is a dead letter with its reason, and the next one about its order is delivered", async () => {
  const receiver = await startHookReceiver(({ data }) => (data["sequence"] === 1 ? "failed" : "taken"));
  const node = await startWebhooksNode({
    prefix: freshPrefix(),
    endpoints: [eager(receiver.url, { tries: 3 })],
  });

  for (const sequence of [0, 1, 2]) await node.webhooks.orderStatus(status("o-1", sequence));

  await eventually(() => expect(receiver.taken()).toHaveLength(2));
  expect(receiver.deliveries.map(({ data }) => data["sequence"])).toEqual([0, 1, 1, 1, 2]);
  const [letter] = await node.letters.list({ limit: 10 });
  expect(letter).toMatchObject({ key: receiver.deliveries[1]!.id, tries: 3 });
  expect(letter!.reason).toMatch(/^http:\/\/127\.0\.0\.1:\d+ answered 500$/);
});

test("dead letters are listed, replayed and removed by the command line", async () => {
  let isBroken = true;
  const receiver = await startHookReceiver(() => (isBroken ? "failed" : "taken"));
  const prefix = freshPrefix();
  const node = await startWebhooksNode({ prefix, endpoints: [eager(receiver.url, { tries: 1 })] });
  await node.webhooks.orderStatus(status("o-1", 1));
  await node.webhooks.orderStatus(status("o-2", 1));
  await eventually(async () => expect(await node.letters.count()).toBe(2));
  const said: string[] = [];
  const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: prefix };
  const run = (...words: string[]) =>
    runCommandLine(["dead-letters", ...words], { env, print: (line: string) => void said.push(line) } as never);

  isBroken = false;
  await run("list", "--of", "webhooks");
  await run("replay", "--of", "webhooks", "--all");

  expect(said[0]).toContain("answered 500");
  expect(said[0]).toContain("2 in total.");
  await eventually(() => expect(receiver.taken()).toHaveLength(2));
  expect(await node.letters.count()).toBe(0);
});

test("a redirect is not followed", async () => {
  const elsewhere = await startHookReceiver();
  const server = createServer((_, response) => response.writeHead(307, { location: elsewhere.url }).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const endpoints = [eager(`http://127.0.0.1:${port}/`, { tries: 2 })];
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints });

  await node.webhooks.orderStatus(status("o-1", 1));

  await eventually(async () => expect(await node.letters.count()).toBe(1));
  expect((await node.letters.list({ limit: 1 }))[0]!.reason).toContain("answered 307");
  expect(elsewhere.deliveries).toEqual([]);
});

test("an endless response takes no longer than the timeout", async () => {
  let sent = 0;
  const server = createServer((_, response) => {
    response.writeHead(200);
    const flood = setInterval(() => (sent += response.write("x".repeat(65_536)) ? 65_536 : 0), 1);
    response.once("close", () => clearInterval(flood));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const endpoints = [eager(`http://127.0.0.1:${port}/`, { timeoutMs: 300 })];
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints });

  await node.webhooks.orderStatus(status("o-1", 1));

  await eventually(async () => expect(await counted(node, "delivered")).toBe(1));
  expect(sent).toBeLessThan(4 * 1_048_576);
});

test("a refused connection is a failure like any other", async () => {
  const node = await startWebhooksNode({
    prefix: freshPrefix(),
    endpoints: [eager("http://127.0.0.1:9/", { tries: 2 })],
  });

  await node.webhooks.orderStatus(status("o-1", 1));

  await eventually(async () => expect(await node.letters.count()).toBe(1));
  expect((await node.letters.list({ limit: 1 }))[0]!.reason).toMatch(/failed: /);
});

test("queues are bounded per order and per endpoint; the rest become dead letters", async () => {
  const receiver = await startHookReceiver(() => "hung");
  const endpoints = [eager(receiver.url, { timeoutMs: 60_000 })];
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints, maxPerEntity: 5, maxPerEndpoint: 8 });

  for (let sequence = 0; sequence < 7; sequence += 1) await node.webhooks.orderStatus(status("o-1", sequence));
  for (let index = 0; index < 6; index += 1) await node.webhooks.orderStatus(status(`other-${index}`, 1));

  expect(await node.letters.count()).toBe(2 + 3);
  expect((await node.letters.list({ limit: 1 }))[0]).toMatchObject({
    reason: "too many messages are queued",
    tries: 0,
  });
  await eventually(async () => expect((await node.metrics.webhooksWaiting.get()).values[0]!.value).toBe(8));
  expect(await counted(node, "dead")).toBe(5);
});

async function counted({ metrics }: { metrics: { webhooks: { get(): Promise<any> } } }, outcome: string) {
  const { values } = await metrics.webhooks.get();
  return values
    .filter(({ labels }: { labels: { outcome: string } }) => labels.outcome === outcome)
    .reduce((sum: number, { value }: { value: number }) => sum + value, 0);
}
