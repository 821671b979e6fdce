import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { GatewayError } from "../../src/protocol/errors.ts";
import type { Command, CommandResult } from "../../src/publisher/transport.ts";
import { createPublisher, overHttp, overStream, type PublisherError } from "../../src/publisher/publisher.ts";
import { createOrderRoutes } from "../../src/http/routes/orders.ts";
import { createPublishRoutes } from "../../src/http/routes/publish.ts";
import { apiKey, startHttp } from "../http/support.ts";
import { noSchedule } from "../support/publish-executor.ts";
import { createPublishingNode, type PublishingNodeOptions } from "../support/publishing-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** A node with its HTTP door, its stream door and a Redis client such as a backend has. */
async function startNode(options: Pick<PublishingNodeOptions, "limitOf" | "others"> = {}) {
  const prefix = freshPrefix();
  const node = await createPublishingNode({ url: inject("redisUrl"), prefix, nodeId: randomUUID(), ...options });
  onTestFinished(() => node.close());
  const { executor, orders } = node;
  const routes = [
    ...createPublishRoutes({ executor, schedule: noSchedule }),
    ...createOrderRoutes({ executor, orders }),
  ];
  const { url } = await startHttp({ routes });
  const redis = node.redis.connection("commands");
  const said = async (channel: string) =>
    (await redis.xrange(node.keys.channelLog(channel), "-", "+")).map(
      ([, fields]) => (JSON.parse(fields[1] as string) as { data: unknown }).data,
    );
  return { ...node, prefix, url, redis, said };
}

const never = (_call: number): boolean => false;

/** Stands between a backend and the node: counts calls, may refuse one, and after passing one on may lose its answer. */
async function startProxy(target: string, losesAnswer = never, prefix = "", refuses = never) {
  const paths: string[] = [];
  const server = createServer((incoming, answer) => {
    paths.push(`${incoming.method} ${incoming.url}`);
    const call = paths.length;
    if (refuses(call)) return void incoming.resume().on("end", () => answer.writeHead(503).end());
    const { method, headers, url = "" } = incoming;
    const passed = forward(new URL(url.slice(prefix.length), target), { method, headers }, (response) => {
      if (losesAnswer(call)) return void incoming.socket.destroy();
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths };
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const say = (n: number, channel = "chat:lobby") => ({ channel, event: "said", data: n });

describe("over HTTP", () => {
  test("what is published in one tick travels as one call, and each call is answered for itself", async () => {
    const { url, said } = await startNode();
    const proxy = await startProxy(url);
    const publisher = createPublisher(overHttp({ url: proxy.url, apiKey }));

    const answers = await Promise.all(range(1, 500).map((n) => publisher.publish(say(n))));

    expect(proxy.paths).toEqual(["POST /v1/publish/batch"]);
    expect(answers.map(({ offset }) => offset)).toEqual(range(1, 500));
    expect(await said("chat:lobby")).toEqual(range(1, 500));
  });

  test("what is handed in while others are on their way follows in order", async () => {
    const { url, said } = await startNode();
    const publisher = createPublisher(overHttp({ url, apiKey }));

    for (const n of range(1, 300)) {
      void publisher.publish(say(n));
      if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await publisher.flush();

    expect(await said("chat:lobby")).toEqual(range(1, 300));
  });

  test("an answer that was lost is asked for again with the same key: one effect, the first answer", async () => {
    const { url, said } = await startNode();
    const proxy = await startProxy(url, (call) => call <= 4);
    const publisher = createPublisher(overHttp({ url: proxy.url, apiKey }), { minDelayMs: 10 });

    const published = publisher.publish(say(1));
    const created = publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    const applied = publisher.orderEvent({ orderId: "o-1", status: "confirmed" });

    expect(await published).toMatchObject({ offset: 1, duplicate: true });
    expect((await created).order.status).toBe("created");
    expect(await applied).toMatchObject({ applied: true, order: { status: "confirmed", sequence: 1 } });
    expect(await said("chat:lobby")).toEqual([1]);
  });

  test("ephemeral publications get no key, and a command without a body takes its key along", async () => {
    const { url } = await startNode();
    const publisher = createPublisher(overHttp({ url, apiKey }));
    expect(await publisher.publish({ ...say(1), ephemeral: true })).toEqual({ channel: "chat:lobby" });

    const sent: Record<string, unknown>[] = [];
    const server = createServer((incoming, answer) => {
      let body = "";
      incoming.on("data", (chunk) => (body += chunk));
      incoming.on("end", () => {
        sent.push({ key: incoming.headers["idempotency-key"], body: body === "" ? undefined : JSON.parse(body) });
        answer.end("{}");
      });
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const recorded = createPublisher(overHttp({ url: `http://127.0.0.1:${port}`, apiKey }));
    await recorded.revokeSession({ sessionId: "s-1", idempotencyKey: "k" });
    await recorded.disconnectUser({ userId: "ada", idempotencyKey: "k" });

    expect(sent).toEqual([{ key: "k" }, { body: { idempotencyKey: "k" } }]);
  });

  test("what failed says what it was and why, and does not keep the others", async () => {
    const { url, said } = await startNode();
    const failures: PublisherError[] = [];
    const onFailure = (error: PublisherError) => void failures.push(error);
    const publisher = createPublisher(overHttp({ url, apiKey }), { onFailure });

    void publisher.publish(say(1, "nope:x"));
    void publisher.publish({ channel: "chat:lobby", event: "", data: 1 });
    void publisher.publish(say(3));
    void publisher.orderEvent({ orderId: "none", status: "confirmed" });
    await publisher.flush();

    expect(failures.map(({ operation, code, field, attempts }) => [operation, code, field, attempts])).toEqual([
      ["publish", "unknown_channel", undefined, 1],
      ["publish", "bad_request", undefined, 1],
      ["order.event", "not_found", "orderId", 1],
    ]);
    expect(await said("chat:lobby")).toEqual([3]);
    const results = await publisher.broadcast(["chat:a", "nope:b"], { event: "said", data: 1 });
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("what is behind a command that failed for the moment does not overtake it, also in the next call", async () => {
    const { url } = await startNode();
    const proxy = await startProxy(url, never, "", (call) => call <= 2);
    const publisher = createPublisher(overHttp({ url: proxy.url, apiKey }), { minDelayMs: 10, maxAttempts: 3 });
    const order = { orderId: "o-2", parties: { customer: "ada" } };
    await createPublisher(overHttp({ url, apiKey })).createOrder(order);

    const published = range(1, 1_200).map((n) => publisher.publish(say(n, "chat:long")));
    const events = ["confirmed", "cooking", "ready"].map((status) => publisher.orderEvent({ orderId: "o-2", status }));
    await Promise.all(published);

    expect(await Promise.all(published.map(async (one) => (await one).offset))).toEqual(range(1, 1_200));
    expect((await Promise.all(events)).map(({ applied }) => applied)).toEqual([true, true, true]);
  });

  test("a publication that its channel's limit refuses is not overtaken by the others of its batch", async () => {
    let calls = 0;
    const take = async (): Promise<void> => {
      if (++calls === 3) throw new GatewayError("rate_limited", "Too many.", { retryAfterMs: 1 });
    };
    const { url, said } = await startNode({ limitOf: () => ({ take, giveBack: () => undefined }) });
    const publisher = createPublisher(overHttp({ url, apiKey }), { minDelayMs: 5 });

    await Promise.all(range(1, 20).map((n) => publisher.publish(say(n))));

    expect(await said("chat:lobby")).toEqual(range(1, 20));
  });

  test("a wrong key fails at once; nobody there fails after the last attempt", async () => {
    const { url } = await startNode();
    const wrong = createPublisher(overHttp({ url, apiKey: "wrong" }));
    const nobody = createPublisher(overHttp({ url: "http://127.0.0.1:1", apiKey }), { maxAttempts: 3, minDelayMs: 5 });

    await expect(wrong.publish(say(1))).rejects.toMatchObject({ code: "unauthorized", attempts: 1 });
    await expect(nobody.publish(say(1))).rejects.toMatchObject({ code: "unreachable", attempts: 3 });
  });

  test("what waits is bounded, and a closed publisher takes no more", async () => {
    const { url } = await startNode();
    const publisher = createPublisher(overHttp({ url, apiKey }), { maxQueued: 2 });

    const outcomes = await Promise.allSettled(range(1, 3).map((n) => publisher.publish(say(n))));
    await publisher.close();

    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    await expect(publisher.publish(say(4))).rejects.toMatchObject({ code: "closed" });
  });
});

describe("over the stream", () => {
  test("commands are left for the gateway, which performs them in order and once", async () => {
    const { redis, prefix, consumer, orders, said } = await startNode();
    let failing = 3;
    const flaky = {
      // The entry is left, but the backend does not hear of it.
      async xadd(key: string, ...args: string[]) {
        const id = await redis.xadd(key, ...(args as [string, string, string]));
        if (failing-- > 0) throw new Error("the connection broke");
        return id;
      },
    };
    const publisher = createPublisher(overStream({ redis: flaky, prefix }), { minDelayMs: 5 });
    consumer.start();

    const left = range(1, 100).map((n) => publisher.publish(say(n)));
    void publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    void publisher.orderEvent({ orderId: "o-1", status: "confirmed" });
    await publisher.flush();

    expect(await left[99]).toMatchObject({ entryId: expect.stringMatching(/^\d+-\d+$/) as string });
    await eventually(async () => expect((await orders.get("o-1")).order.status).toBe("confirmed"));
    await eventually(async () => expect(new Set(await said("chat:lobby"))).toEqual(new Set(range(1, 100))));
    expect(await said("chat:lobby")).toHaveLength(100);
    expect((await orders.get("o-1")).timeline).toHaveLength(2);
  });
});

test("a change left twice over the stream, because the first answer was lost, does not undo one in between", async () => {
  const roles: unknown[] = [];
  const updateSession = async (_sessionId: string, change: { roles?: readonly string[] | undefined }) => ({
    count: roles.push(change.roles),
  });
  const { redis, prefix, consumer, orders, executor } = await startNode({ others: { updateSession } });
  await orders.create({ orderId: "o-1", parties: { customer: "ada" } });
  consumer.start();
  const revoke = { type: "session.update" as const, sessionId: "s-1", roles: [] };
  let calls = 0;
  const flaky = {
    async xadd(key: string, ...args: string[]) {
      const call = ++calls;
      const id = await redis.xadd(key, ...(args as [string, string, string]));
      if (call > 2) return id;
      // The entry is left and performed, and something else happens before the backend tries again.
      await eventually(() => expect(roles).not.toEqual([]));
      if (call === 2) await eventually(async () => expect(await orders.partiesOf("o-1")).toHaveProperty("courier"));
      if (call === 2) await executor.perform(revoke, { door: "http" });
      if (call === 2) await orders.update("o-1", { parties: { courier: null } });
      throw new Error("the connection broke");
    },
  };
  const publisher = createPublisher(overStream({ redis: flaky, prefix, timeoutMs: 60_000 }), { minDelayMs: 200 });

  void publisher.updateSession({ sessionId: "s-1", roles: ["staff"] });
  void publisher.updateOrder({ orderId: "o-1", parties: { courier: "bob" } });
  await publisher.flush();
  await eventually(async () => {
    const [group] = (await redis.xinfo("GROUPS", `${prefix}:commands`)) as (string | number)[][];
    const read = (name: string) => group![group!.indexOf(name) + 1];
    expect([calls, read("pending"), read("lag")]).toEqual([4, 0, 0]);
  });

  expect(roles).toEqual([["staff"], []]);
  expect(await orders.partiesOf("o-1")).toEqual({ customer: "ada" });
});

describe("what one command cannot do", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;

  test.each([
    ["a BigInt", { n: 1n }],
    ["a circle", circle],
  ])("fails for itself alone, and the publisher goes on: %s", async (_, data) => {
    const { url, said, redis, prefix } = await startNode();
    for (const publisher of [
      createPublisher(overHttp({ url, apiKey })),
      createPublisher(overStream({ redis, prefix })),
    ]) {
      const outcomes = await Promise.allSettled([
        publisher.publish(say(1)),
        publisher.publish({ channel: "chat:lobby", event: "said", data }),
        publisher.orderSignal({ orderId: "o-1", name: "courier", data }),
        publisher.orderEvent({ orderId: "..", status: "confirmed" }),
        publisher.orderEvent({ orderId: "\ud800", status: "confirmed" }),
      ]);

      const codes = outcomes.map((outcome) =>
        outcome.status === "fulfilled" ? "done" : (outcome.reason as PublisherError).code,
      );
      expect(codes).toEqual(["done", "bad_request", "bad_request", "bad_request", "bad_request"]);
      await expect(publisher.publish(say(2))).resolves.toBeDefined();
      await publisher.close();
    }
    expect(await said("chat:lobby")).toEqual([1, 2]);
  });

  test("a transport that throws costs the commands it was given, and no others", async () => {
    let throws = true;
    const send = async (commands: readonly unknown[]) => {
      if (throws) throw new Error("a defect");
      return commands.map(() => ({ ok: true as const, answer: {} }));
    };
    const publisher = createPublisher({ needsKey: () => false, send });

    await expect(publisher.publish(say(1))).rejects.toMatchObject({ code: "internal" });
    throws = false;

    await expect(publisher.publish(say(2))).resolves.toEqual({});
  });

  test("a channel that is limited keeps its own publications waiting, in order, and no others", async () => {
    const sent: string[] = [];
    let isLimited = true;
    const limited = { code: "rate_limited" as const, message: "Too many.", retryAfterMs: 200 };
    const send = async (commands: readonly Command[]): Promise<CommandResult[]> =>
      commands.map((command) => {
        const { channel, data } = command as unknown as ReturnType<typeof say>;
        if (channel === "chat:noisy" && isLimited) return { ok: false, failure: limited, isTemporary: true };
        sent.push(`${channel} ${data}`);
        return { ok: true, answer: {} };
      });
    const publisher = createPublisher({ needsKey: () => false, send }, { maxAttempts: 50 });
    const noisy = [1, 2].map((n) => publisher.publish(say(n, "chat:noisy")));
    await publisher.publish(say(1, "chat:calm"));
    noisy.push(publisher.publish(say(3, "chat:noisy")));
    await publisher.publish(say(2, "chat:calm"));

    isLimited = false;
    await publisher.flush();

    expect(sent).toEqual(["chat:calm 1", "chat:calm 2", "chat:noisy 1", "chat:noisy 2", "chat:noisy 3"]);
    await Promise.all(noisy);
  });

  test("a send that hangs keeps nobody waiting but its own subjects", async () => {
    const send = (commands: readonly Command[]): Promise<CommandResult[]> =>
      commands.some(({ type }) => type === "user.disconnect")
        ? new Promise(() => undefined)
        : Promise.resolve(commands.map(() => ({ ok: true, answer: {} })));
    const publisher = createPublisher({ needsKey: () => false, send });
    void publisher.disconnectUser({ userId: "ada" });
    await new Promise((resolve) => setImmediate(resolve));

    await expect(publisher.publish(say(1))).resolves.toEqual({});
  });

  test("a Redis that never answers is told as unreachable", async () => {
    const redis = { xadd: () => new Promise<string>(() => undefined) };
    const publisher = createPublisher(overStream({ redis, timeoutMs: 5 }), { maxAttempts: 2, minDelayMs: 1 });

    await expect(publisher.publish(say(1))).rejects.toMatchObject({ code: "unreachable", attempts: 2 });
  });
});

describe("the gateway's address", () => {
  test("may have a path, which every call keeps", async () => {
    const { url } = await startNode();
    const proxy = await startProxy(url, () => false, "/realtime");
    const publisher = createPublisher(overHttp({ url: `${proxy.url}/realtime`, apiKey }));

    await publisher.publish(say(1));
    await publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });

    expect(proxy.paths).toEqual(["POST /realtime/v1/publish/batch", "POST /realtime/v1/orders"]);
  });

  test("that is none is refused at once", () => {
    expect(() => overHttp({ url: "gateway.example", apiKey })).toThrow(/Invalid URL/);
    expect(() => overHttp({ url: "http://gateway.example", apiKey: "key\nwith a line" })).toThrow();
  });
});
