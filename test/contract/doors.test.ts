import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineContract, type Gateway } from "../../src/index.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { embed, join } from "../app/support.ts";
import { readableLog } from "../support/edge.ts";
import { startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { eventually, quietLog } from "../support/world.ts";
import { contract, contractFile } from "./contract.ts";

interface Publication {
  channel: string;
  event: string;
  data: unknown;
}

/** Sends a publication; resolves with the message of the refusal, undefined if there is none. */
type Door = (publication: Publication, world: World) => Promise<string | undefined>;

interface World {
  gateway: TestGateway;
  client: Client;
  redis: Redis;
}

const messageOf = ({ body }: { body: { code?: string; detail?: string } }): string | undefined =>
  body.code && `${body.code} ${body.detail}`;
const ofAck = ({ error }: { error?: { code: string; message: string } }): string | undefined =>
  error && `${error.code} ${error.message}`;

const deadLettersOf = async ({ gateway }: TestGateway): Promise<string[]> =>
  (await gateway.services.deadLetters.list({ limit: 100 })).map(({ code, reason }) => `${code} ${reason}`);

const doors: Record<string, Door> = {
  "the client's publish": async (publication, { client }) => ofAck(await client.emitWithAck("publish", publication)),
  "the client's publish, ephemeral": async (publication, { client }) =>
    ofAck(await client.emitWithAck("publish", { ...publication, ephemeral: true })),
  "HTTP publish": async (publication, { gateway }) => messageOf(await gateway.call("POST", "/v1/publish", publication)),
  "HTTP publish, for later": async (publication, { gateway }) =>
    messageOf(await gateway.call("POST", "/v1/publish", { ...publication, delayMs: 0 })),
  "HTTP batch": async (publication, { gateway }) =>
    ofAck((await gateway.call("POST", "/v1/publish/batch", { publications: [publication] })).body.results[0]),
  "HTTP broadcast": async ({ channel, ...rest }, { gateway }) =>
    ofAck((await gateway.call("POST", "/v1/broadcast", { channels: [channel], ...rest })).body.results[0]),
  "the commands stream": async (publication, { redis, gateway }) => {
    const outcomes = async () => {
      const [letters, history] = [await deadLettersOf(gateway), await historyOf(gateway, publication.channel)];
      return { letters, count: letters.length + history.length };
    };
    const before = await outcomes();
    await redis.xadd(`${gateway.prefix}:commands`, "*", "command", JSON.stringify({ type: "publish", ...publication }));
    await eventually(async () => expect((await outcomes()).count).toBe(before.count + 1));
    return (await outcomes()).letters.slice(before.letters.length).at(-1);
  },
};

const valid = { channel: "chat:1", event: "said", data: { text: "hi" } };

const historyOf = async ({ call }: TestGateway, channel: string): Promise<Publication[]> =>
  (await call("GET", `/v1/channels/${channel}/history`)).body.publications;

/** An app that publishes what it is sent. */
async function startApp(): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      const { args } = JSON.parse(Buffer.concat(chunks).toString());
      response.end(JSON.stringify({ publish: args, ack: [{}] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startWorld(log: Logger = quietLog): Promise<World> {
  const bridges = [{ pattern: "contract:*", channel: "chat:1", event: "said" }];
  const app = { url: await startApp(), secret: "a-secret-that-the-app-knows" };
  const gateway = await startGateway({ contract, file: { ...contractFile, bridges, app }, log });
  const client = await gateway.connect((await gateway.signIn("ann")).token);
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  return { gateway, client, redis };
}

describe("a publication", () => {
  test.each(Object.entries(doors))("by %s is checked, and one that is refused has no effect", async (door, send) => {
    const world = await startWorld();
    const at = door === "HTTP batch" ? "publications[0]." : "";
    await world.client.emitWithAck("subscribe", { channel: "chat:1" });

    expect(await send({ ...valid, data: { text: 7 } }, world)).toBe(
      `bad_request ${at}data.text: expected string, received number`,
    );
    expect(await send({ ...valid, data: {} }, world)).toBe(`bad_request ${at}data.text: is required`);
    expect(await send({ ...valid, event: "sad" }, world)).toBe(
      `bad_request ${at}event: is not in the contract of chat, which has said, typing`,
    );
    expect(await send(valid, world)).toBeUndefined();

    // As the schema returns it, which adds a default.
    await eventually(() =>
      expect(world.client.events.filter(([name]) => name === "publication").map(([, one]) => one)).toMatchObject([
        { event: "said", data: { text: "hi", tags: [] } },
      ]),
    );
  });

  test("that is an effect of the app is checked: its client is told app_failed, and the log which effect", async () => {
    const { log, lines } = readableLog();
    const { gateway, client } = await startWorld(log);
    const send = (...publications: object[]) => client.emitWithAck("publish these", ...publications);

    expect(await send(valid, { ...valid, data: { text: 7 } })).toMatchObject({ error: { code: "app_failed" } });
    expect(await historyOf(gateway, "chat:1")).toEqual([]);
    expect(await send(valid)).toEqual({});

    expect(await historyOf(gateway, "chat:1")).toMatchObject([{ data: { text: "hi", tags: [] } }]);
    expect(lines.filter(({ place }) => place === "app.event")).toMatchObject([
      { code: "bad_request", field: "answer.publish[1].data.text" },
    ]);
  });

  test("of a bridge is checked, with an id and without", async () => {
    const { gateway, client, redis } = await startWorld();
    await client.emitWithAck("subscribe", { channel: "chat:1" });

    for (const message of [{ text: 1 }, { id: "a", text: 1 }, { text: "hi" }, { id: "b", text: "hi" }])
      await redis.publish("contract:chat", JSON.stringify(message));

    await eventually(() => expect(client.events.filter(([name]) => name === "publication")).toHaveLength(2));
    expect(await historyOf(gateway, "chat:1")).toMatchObject([{ data: { text: "hi", tags: [] } }]);
  });

  test("of an app in this process is checked, from a handler, from outside and to a room that is a channel", async () => {
    const gateway = await embed({ channels: contractFile.channels, contract });
    gateway.on("move", ({ publish }, { x }) =>
      publish({ channel: "chat:1", event: "said", data: { text: x as never } }),
    );
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");
    await ann.emitWithAck("subscribe", { channel: "chat:1" });
    const refusal = { code: "bad_request", message: "data.text: expected string, received number" };

    expect(await ann.emitWithAck("move", { x: 1, y: 2 })).toEqual({ ok: false, error: refusal });
    const wrong = { text: 1 } as never;
    await expect(gateway.publish({ channel: "chat:1", event: "said", data: wrong })).rejects.toMatchObject(refusal);
    gateway.io.to("chat:1").emit("said", wrong);
    gateway.io.to("chat:1").emit("said", { text: "hi" });

    await eventually(() => expect(ann.events.filter(([name]) => name === "publication")).toHaveLength(1));
    expect((await ann.emitWithAck("history", { channel: "chat:1" })).publications).toMatchObject([
      { offset: 1, data: { text: "hi", tags: [] } },
    ]);
  });

  test("that a publish hook changed is checked again", async () => {
    const gateway = await embed({ channels: { ...contractFile.channels, chat: { publish: "hook" } }, contract });
    gateway.hooks.publish(({ args }) => ({
      data: Object(args?.[0]).text === "change" ? { text: 1 } : { text: "changed" },
    }));
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");

    const changed = await ann.emitWithAck("publish", { ...valid, data: { text: "change" } });
    expect(changed).toMatchObject({ ok: false, error: { code: "app_failed" } });
    expect(await ann.emitWithAck("publish", valid)).toMatchObject({ ok: true, offset: 1 });
  });

  test("is not repeated in the refusal at any length", async () => {
    const validate = (value: unknown) => ({ issues: [{ message: `not ${JSON.stringify(value)}` }] });
    const quoting = { "~standard": { version: 1, vendor: "own", validate } } as const;
    const own = defineContract({ channels: { chat: { said: quoting } } });
    const gateway = await startGateway({ contract: own, file: contractFile });
    const publication = { channel: "chat:1", event: "said", data: "x".repeat(30_000) };

    const { body } = await gateway.call("POST", "/v1/publish", publication);

    expect(body.detail).toMatch(/^data: not "x{251}…$/);
  });

  test("to a kind that the contract does not have is not checked", async () => {
    const gateway = await startGateway({ contract, file: { channels: { ...contractFile.channels, news: {} } } });

    const { status } = await gateway.call("POST", "/v1/publish", { channel: "news:1", event: "any", data: [1] });

    expect(status).toBe(200);
  });
});

describe("an event for the app", () => {
  async function listening(setUp: (gateway: Gateway<typeof contract>) => void) {
    const gateway = await embed({ channels: contractFile.channels, contract });
    setUp(gateway);
    await gateway.listen(0, "127.0.0.1");
    return join(gateway, "ann");
  }

  test("reaches its handler as its schema returns it, and is refused by field", async () => {
    const ann = await listening((own) => {
      own.on("todo:create", (_context, { title, done }) => ({ id: `${title} ${done}` }));
    });

    expect(await ann.emitWithAck("todo:create", { title: "milk" })).toEqual({ id: "milk false" });
    expect(await ann.emitWithAck("todo:create", { title: 1 })).toEqual({
      ok: false,
      error: { code: "bad_request", message: "title: expected string, received number" },
    });
    expect(await ann.emitWithAck("todo:create")).toMatchObject({
      error: { code: "bad_request", message: expect.stringMatching(/^argument: /) },
    });
  });

  test("reaches listeners of gateway.io only if it is valid", async () => {
    const moves: unknown[] = [];
    const ann = await listening(({ io }) =>
      io.on("connection", (socket) => socket.on("move", (to, done) => done(moves.push(to)))),
    );

    expect(await ann.emitWithAck("move", { x: 1, y: "2" })).toMatchObject({ error: { code: "bad_request" } });
    expect(await ann.emitWithAck("move", { x: 1, y: 2 })).toBe(1);
    expect(moves).toEqual([{ x: 1, y: 2 }]);
  });

  test("is answered app_failed if the app's answer is not what the contract says", async () => {
    const ann = await listening((own) => own.on("todo:create", () => ({ id: 7 }) as never));

    expect(await ann.emitWithAck("todo:create", { title: "milk" })).toMatchObject({
      error: { code: "app_failed", retryAfterMs: 1_000 },
    });
  });

  test("of an app over HTTP is checked before it is sent", async () => {
    const { client } = await startWorld();

    expect(await client.emitWithAck("move", { x: 1 })).toMatchObject({
      error: { code: "bad_request", message: "y: is required" },
    });
  });
});

describe("a contract that cannot be used", () => {
  test.each([
    [
      "a kind that is not configured",
      { channels: { chta: { said: z.string() } } },
      /contract\.channels\.chta: no channel kind/,
    ],
    [
      "an event of the gateway",
      { events: { publish: z.string() } },
      /contract\.events\.publish: is an event of the gateway/,
    ],
  ])("with %s is an error of the configuration", async (_, given, message) => {
    await expect(embed({ contract: defineContract(given) as never })).rejects.toThrow(message);
  });

  test("is refused by defineContract, with the place", () => {
    expect(() => defineContract({ events: { move: {} as never } })).toThrow(
      'events["move"].input: is not a Standard Schema',
    );
    expect(() => defineContract({ events: { disconnect: z.string() } })).toThrow("reserved");
    expect(() => defineContract({ channels: { "chat:1": {} } })).toThrow("without a colon");
  });
});

test("an asynchronous schema of a channel is an internal error: it could change the order of publications", async () => {
  const slow = defineContract({ channels: { chat: { said: z.string().refine(async () => true) } } });
  const gateway = await startGateway({ contract: slow, file: contractFile });

  const { status } = await gateway.call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: "hi" });

  expect(status).toBe(500);
  expect(await historyOf(gateway, "chat:1")).toEqual([]);
});
