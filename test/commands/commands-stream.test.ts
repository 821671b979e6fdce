import { randomUUID } from "node:crypto";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import type { Command } from "../../src/protocol/commands.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { tellStory } from "../support/order-stories.ts";
import { createPublishingNode, type PublishingNode, type PublishingNodeOptions } from "../support/publishing-node.ts";
import { seeded } from "../support/random.ts";
import { promised } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";

async function startNode(options: Partial<PublishingNodeOptions> = {}): Promise<PublishingNode> {
  const node = await createPublishingNode({
    url: inject("redisUrl"),
    prefix: freshPrefix(),
    nodeId: randomUUID(),
    ...options,
  });
  onTestFinished(() => node.close());
  return node;
}

const commandsOf = (node: PublishingNode) => node.redis.connection("commands");

async function send(node: PublishingNode, ...commands: (Command | string)[]): Promise<void> {
  const texts = commands.map((command) => (typeof command === "string" ? command : JSON.stringify(command)));
  await Promise.all(texts.map((text) => commandsOf(node).xadd(node.keys.commands(), "*", "command", text)));
}

/** Nothing is pending and nothing unread. */
async function isThrough(node: PublishingNode): Promise<void> {
  const groups = (await commandsOf(node).xinfo("GROUPS", node.keys.commands())) as (string | number)[][];
  const group = groups[0] ?? [];
  const read = (name: string) => group[group.indexOf(name) + 1];
  expect({ pending: read("pending"), lag: read("lag") }).toEqual({ pending: 0, lag: 0 });
}

async function said(node: PublishingNode, channel: string): Promise<unknown[]> {
  const entries = await commandsOf(node).xrange(node.keys.channelLog(channel), "-", "+");
  return entries.map(([, fields]) => (JSON.parse(fields[1] as string) as { data: unknown }).data);
}

/** A limit that refuses the call with this number, and no other. */
function refusingOnce(number: number): PublishingNodeOptions["limitOf"] {
  let calls = 0;
  const limit = {
    async take() {
      if (++calls === number) throw new GatewayError("rate_limited", "Too many.", { retryAfterMs: 1 });
    },
    giveBack: () => undefined,
  };
  return () => limit;
}

const say = (n: number, channel = "chat:lobby"): Command => ({ type: "publish", channel, event: "said", data: n });
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("the commands stream", () => {
  test("performs what was there before any node and what comes later, of one channel in the stream's order", async () => {
    const node = await startNode();
    await send(node, ...range(1, 200).map((n) => say(n)));
    node.consumer.start();
    await eventually(async () => expect(await said(node, "chat:lobby")).toHaveLength(200));

    await send(node, ...range(201, 400).map((n) => say(n)));

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual(range(1, 400)));
    await eventually(() => isThrough(node));
  });

  test("performs every type of command by its room", async () => {
    const calls: unknown[] = [];
    const call = (name: string) => async (argument: unknown) => (calls.push([name, argument]), {});
    const others = { submitScore: call("score"), revokeSession: call("session"), disconnectUser: call("user") };
    const node = await startNode({ others });
    node.consumer.start();

    await send(
      node,
      { type: "order.create", orderId: "o-1", parties: { customer: "ada" } },
      { type: "order.event", orderId: "o-1", status: "confirmed" },
      { type: "order.signal", orderId: "o-1", name: "place", data: [1, 2] },
      { type: "score.submit", board: "daily", member: "ada", score: 7 },
      { type: "session.revoke", sessionId: "s-1" },
      { type: "user.disconnect", userId: "ada", code: "disconnected_by_backend" },
    );

    await eventually(() => expect(calls).toHaveLength(3));
    const idempotencyKey = expect.stringMatching(/^stream:/);
    expect(calls).toContainEqual(["score", { board: "daily", member: "ada", score: 7, idempotencyKey }]);
    expect(calls).toContainEqual(["session", "s-1"]);
    expect(calls).toContainEqual(["user", { userId: "ada", code: "disconnected_by_backend" }]);
    await eventually(async () =>
      expect((await node.orders.get("o-1")).order).toMatchObject({ status: "confirmed", signals: { place: {} } }),
    );
  });

  test("closes a user's connections once, however often the command is delivered", async () => {
    const closed: unknown[] = [];
    const others = { disconnectUser: async (user: unknown) => (closed.push(user), { disconnected: 1 }) };
    const { executor } = await startNode({ others });
    const command = { type: "user.disconnect", userId: "ada" } as const;

    for (const deliveryKey of ["stream:1-0", "stream:1-0", "stream:2-0"])
      expect(await executor.perform(command, { door: "stream", deliveryKey })).toEqual({ disconnected: 1 });

    expect(closed).toEqual([{ userId: "ada" }, { userId: "ada" }]);
  });

  test("keeps what is malformed or refused as dead letters, each with its reason, and goes on", async () => {
    const node = await startNode();
    node.consumer.start();
    const deep = "[".repeat(40) + "]".repeat(40);

    await send(
      node,
      "not json",
      `{"type":"publish","channel":"chat:lobby","event":"said","data":${deep}}`,
      `{"type":"publish","channel":"nope:x","event":"said","data":1}`,
      `{"type":"publish","channel":"chat:lobby","event":"said"}`,
      `{"type":"unknown"}`,
      JSON.stringify({ ...say(0), data: "x".repeat(65_535) }),
      say(1),
    );
    await commandsOf(node).xadd(node.keys.commands(), "*", "other", "field");
    const twice = [2, 3].flatMap((n) => ["command", JSON.stringify(say(n))]);
    await commandsOf(node).xadd(node.keys.commands(), "*", ...twice);

    await eventually(async () => expect(await node.deadLetters.count()).toBe(8));
    const letters = await node.deadLetters.list();
    expect(letters.map(({ code }) => code).toSorted()).toEqual([
      "bad_request",
      "bad_request",
      "bad_request",
      "bad_request",
      "bad_request",
      "bad_request",
      "payload_too_large",
      "unknown_channel",
    ]);
    expect(letters.find(({ command }) => command.includes(`"said"}`))?.reason).toBe("data: is required");
    expect(letters.filter(({ reason }) => reason === "The entry must have the field `command`, once.")).toMatchObject([
      { command: '["other","field"]' },
      { command: JSON.stringify(twice) },
    ]);
    await eventually(() => isThrough(node));
    expect(await said(node, "chat:lobby")).toEqual([1]);
  });

  test("tries again what may pass, holds up only what belongs to it, and gives up after the configured tries", async () => {
    const tried: string[] = [];
    const submitScore = async ({ member }: { member: string }) => {
      tried.push(member);
      if (member === "broken" || (member === "slow" && tried.filter((one) => one === member).length < 3)) {
        throw new Error("not now");
      }
      return {};
    };
    const node = await startNode({ others: { submitScore }, stream: { tries: 4, firstPauseMs: 20 } });
    node.consumer.start();
    const score = (member: string): Command => ({ type: "score.submit", board: "b", member, score: 1 });

    await send(node, score("broken"), score("broken"), score("slow"), score("good"));
    await eventually(() => isThrough(node));

    expect(tried.filter((member) => member === "slow")).toHaveLength(3);
    // The one behind a command that was given up is tried once.
    expect(tried.filter((member) => member === "broken")).toHaveLength(5);
    expect(tried.indexOf("good")).toBeLessThan(tried.lastIndexOf("broken"));
    const letters = await node.deadLetters.list();
    expect(letters.map(({ code, tries, reason }) => [code, tries, reason])).toEqual([
      ["internal", 4, "Error: not now"],
      ["internal", 1, "Error: not now"],
    ]);
  });

  test("keeps the order of a channel whose limit refuses one publication and would allow the next", async () => {
    const node = await startNode({ limitOf: refusingOnce(3), stream: { firstPauseMs: 5 } });
    await send(node, ...range(1, 20).map((n) => say(n)));

    node.consumer.start();

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual(range(1, 20)));
  });

  test("an order's creation that comes behind its events goes before them", async () => {
    const node = await startNode({ stream: { firstPauseMs: 10_000 } });
    await send(
      node,
      { type: "order.event", orderId: "o-1", status: "confirmed", sequence: 1 },
      { type: "order.event", orderId: "o-1", status: "cooking", sequence: 2 },
      { type: "order.create", orderId: "o-1", parties: { customer: "ada" } },
    );

    node.consumer.start();

    await eventually(async () => expect((await node.orders.get("o-1")).order.status).toBe("cooking"));
    expect(await node.deadLetters.count()).toBe(0);
  });

  test("events of an order nobody creates cost the others nothing", async () => {
    const node = await startNode({ stream: { firstPauseMs: 50, maxInFlight: 64 } });
    const lost = range(1, 300).map((n): Command => ({
      type: "order.event",
      orderId: "none",
      status: "x",
      sequence: n,
    }));
    await send(node, ...lost, ...range(1, 50).map((n) => say(n)));

    node.consumer.start();

    await eventually(async () => expect(await said(node, "chat:lobby")).toHaveLength(50), promised(5_000));
    await eventually(async () => expect(await node.deadLetters.count()).toBe(300));
  });

  test("is read however little may be unfinished at once", async () => {
    const node = await startNode({ stream: { maxInFlight: 1 } });
    await send(node, ...range(1, 20).map((n) => say(n)));

    node.consumer.start();

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual(range(1, 20)));
  });

  test("a letter replayed is performed and gone; one that is refused again comes back", async () => {
    const node = await startNode();
    node.consumer.start();
    const event: Command = { type: "order.event", orderId: "o-1", status: "confirmed", sequence: 1 };
    await send(node, event, { type: "order.event", orderId: "o-1", status: "nowhere" });
    await eventually(async () => expect(await node.deadLetters.count()).toBe(2));
    await node.orders.create({ orderId: "o-1", parties: { customer: "ada" } });

    const before = await node.deadLetters.list();
    const { done } = await node.deadLetters.replayAll();

    expect(done).toEqual(before.map(({ id }) => id));
    await eventually(async () => expect((await node.orders.get("o-1")).order.status).toBe("confirmed"));
    await eventually(async () => expect((await node.deadLetters.list())[0]?.code).toBe("illegal_transition"));
    expect(await node.deadLetters.replay(["0-1"])).toEqual({ done: [], missing: ["0-1"] });
    expect(await node.deadLetters.remove((await node.deadLetters.list()).map(({ id }) => id))).toMatchObject({
      missing: [],
    });
    expect(await node.deadLetters.count()).toBe(0);
  });

  test("is read again after the stream and its group were flushed away", async () => {
    const node = await startNode({ stream: { leaseMs: 400 } });
    node.consumer.start();
    await send(node, say(1));
    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual([1]));

    await commandsOf(node).del(node.keys.commands());
    await send(node, say(2));

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual([1, 2]));
    await eventually(() => isThrough(node));
  });

  test("is trimmed, but not of what another group still needs", async () => {
    const node = await startNode();
    const commands = commandsOf(node);
    await send(node, ...range(1, 1_000).map((n) => say(n)));
    await commands.xgroup("CREATE", node.keys.commands(), "audit", "0");
    node.consumer.start();
    await eventually(async () => expect(await said(node, "chat:lobby")).toHaveLength(1_000));
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(await commands.xlen(node.keys.commands())).toBe(1_000);

    await commands.xgroup("DESTROY", node.keys.commands(), "audit");

    await eventually(async () => expect(await commands.xlen(node.keys.commands())).toBeLessThan(200));
  });
});

describe("several nodes", () => {
  test("take turns: one reads, and the next goes on at once where it stops", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all(
      range(1, 3).map((n) => startNode({ prefix, nodeId: `n-${n}`, stream: { leaseMs: 60_000 } })),
    );
    for (const { consumer } of nodes) consumer.start();
    const [any] = nodes as [PublishingNode, ...PublishingNode[]];
    await send(any, ...range(1, 100).map((n) => say(n)));
    await eventually(() => isThrough(any));

    const performed = await Promise.all(
      nodes.map(async ({ metrics }) =>
        (await metrics.commands.get()).values.reduce((sum, { value }) => sum + value, 0),
      ),
    );
    expect(performed.toSorted((a, b) => a - b)).toEqual([0, 0, 100]);
    const stopped = performed.indexOf(100);
    await nodes[stopped]!.consumer.stop();

    // Nobody's, or another's already.
    const holder = await commandsOf(any).get(any.keys.commandsLease());
    expect(holder?.split(":")[0]).not.toBe(`n-${stopped + 1}`);
    expect(await said(any, "chat:lobby")).toEqual(range(1, 100));
  });

  test("what a node left pending is performed by the next, before what came later", async () => {
    const prefix = freshPrefix();
    const node = await startNode({ prefix });
    await send(node, ...range(1, 20).map((n) => say(n)));
    const commands = commandsOf(node);
    await commands.xgroup("CREATE", node.keys.commands(), "gateway", "0");
    await commands.xreadgroup("GROUP", "gateway", "dead-node", "COUNT", 10, "STREAMS", node.keys.commands(), ">");

    node.consumer.start();

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual(range(1, 20)));
    await eventually(() => isThrough(node));
    await eventually(async () => {
      const consumers = (await commands.xinfo("CONSUMERS", node.keys.commands(), "gateway")) as string[][];
      expect(consumers.map(([, name]) => name)).not.toContain("dead-node");
    });
  });

  test("an entry that nodes died of is handled alone, and in the end it is a dead letter", async () => {
    const node = await startNode();
    await send(node, ...range(1, 5).map((n) => say(n)));
    const commands = commandsOf(node);
    const stream = node.keys.commands();
    await commands.xgroup("CREATE", stream, "gateway", "0");
    const read = await commands.xreadgroup("GROUP", "gateway", "x", "COUNT", 5, "STREAMS", stream, ">");
    const ids = (read as [string, [string, string[]][]][])[0]![1].map(([id]) => id);
    const claimed = (id: string, count: number) =>
      commands.call("XCLAIM", stream, "gateway", "x", "0", id, "RETRYCOUNT", `${count}`, "JUSTID");
    for (const id of ids) await claimed(id, 3);
    await claimed(ids[2]!, 6);

    node.consumer.start();

    await eventually(async () => expect(await said(node, "chat:lobby")).toEqual([1, 2, 4, 5]));
    await eventually(async () => expect((await node.deadLetters.list()).map(({ code }) => code)).toEqual(["internal"]));
    await eventually(() => isThrough(node));
  });

  test("a repeat of an entry has no effect", async () => {
    const scoreKeys: unknown[] = [];
    // Boards know a repeat by its key, as the others do.
    const submitScore = async ({ idempotencyKey }: { idempotencyKey?: string | undefined }) => ({
      count: scoreKeys.push(idempotencyKey),
    });
    const node = await startNode({ others: { submitScore } });
    await node.orders.create({ orderId: "o-1", parties: { customer: "ada" } });
    const commands: Command[] = [
      say(1),
      { type: "order.event", orderId: "o-1", status: "confirmed" },
      { type: "order.signal", orderId: "o-1", name: "n", data: 1 },
      { type: "score.submit", board: "b", member: "m", score: 1 },
    ];

    for (const command of [...commands, ...commands])
      await node.executor.perform(command, { door: "stream", deliveryKey: "stream:7-0" });

    expect(await said(node, "chat:lobby")).toHaveLength(1);
    expect(await said(node, "order:o-1")).toHaveLength(3);
    expect(scoreKeys).toEqual(["stream:7-0", "stream:7-0"]);
  });

  test("a repeat of an entry does not undo what was done over HTTP since", async () => {
    const roles: unknown[] = [];
    const updateSession = async (_sessionId: string, change: { roles?: readonly string[] | undefined }) => ({
      count: roles.push(change.roles),
    });
    const node = await startNode({ others: { updateSession } });
    const order: Command = { type: "order.create", orderId: "o-1", parties: { customer: "ada" } };
    const grant: Command = { type: "session.update", sessionId: "s-1", roles: ["staff"] };
    const deliver = async () => {
      for (const command of [order, grant])
        await node.executor.perform(command, { door: "stream", deliveryKey: "stream:7-0" });
    };
    await deliver();
    await node.orders.remove("o-1");
    await node.executor.perform({ ...grant, roles: [] }, { door: "http" });

    await deliver();

    expect(roles).toEqual([["staff"], []]);
    expect(await node.orders.partiesOf("o-1")).toBeUndefined();
  });

  test("effects on one order are in the stream's order however many nodes consume", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all(range(1, 4).map(() => startNode({ prefix, stream: { leaseMs: 300 } })));
    const [any] = nodes as [PublishingNode, ...PublishingNode[]];
    const random = seeded(9);
    const stories = range(1, 30).map((n) => ({ orderId: `o-${n}`, story: tellStory(random, { illegalShare: 0 }) }));
    for (const { orderId } of stories) await any.orders.create({ orderId, parties: { customer: "ada" } });
    // Without sequences only the stream's order can make the timelines right.
    const rounds = range(0, 11).flatMap((index) =>
      stories.flatMap(({ orderId, story }) => {
        const event = story.events[index];
        return event === undefined ? [] : [{ type: "order.event" as const, orderId, status: event.status }];
      }),
    );

    for (const { consumer } of nodes) consumer.start();
    for (let i = 0; i < rounds.length; i += 40) {
      await send(any, ...rounds.slice(i, i + 40));
      const holder = nodes[(i / 40) % 4]!;
      if (i % 80 === 0) await commandsOf(any).del(holder.keys.commandsLease());
    }
    await eventually(() => isThrough(any));

    expect(await any.deadLetters.list()).toEqual([]);
    for (const { orderId, story } of stories) {
      const { timeline } = await any.orders.get(orderId);
      expect(timeline.slice(1).map(({ status }) => status)).toEqual(story.events.map(({ status }) => status));
    }
  });
});

test("a command's own key answers a repeat as the first time, and is a conflict for other content", async () => {
  const node = await startNode();
  const create: Command = { type: "order.create", orderId: "o-1", parties: { customer: "ada" }, idempotencyKey: "k" };
  const event: Command = { type: "order.event", orderId: "o-1", status: "confirmed", idempotencyKey: "k" };

  const http = { door: "http" } as const;
  const first = await node.executor.perform(create, http);
  const applied = await node.executor.perform(event, http);

  expect(await node.executor.perform(create, http)).toEqual(first);
  expect(await node.executor.perform(event, http)).toEqual(applied);
  expect(applied).toMatchObject({ applied: true });
  await expect(node.executor.perform({ ...event, status: "cancelled" }, http)).rejects.toThrow(GatewayError);
});
