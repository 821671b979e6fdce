import { Parser, type AsyncAPIDocumentInterface } from "@asyncapi/parser";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { describeEvents } from "../../src/http/asyncapi.ts";
import { defineContract } from "../../src/index.ts";
import { clientEvents } from "../../src/protocol/client-events.ts";
import { serverEvents } from "../../src/protocol/server-events.ts";
import { contract, contractFile } from "../contract/contract.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

type Json = Record<string, any>;

const file = {
  channels: { ...contractFile.channels, open: { subscribe: "public", presence: true, publish: "public", state: true } },
  leaderboards: { daily: { clientWrites: true } },
};

async function described(given = contract as never): Promise<{ gateway: TestGateway; events: Json }> {
  const gateway = await startGateway({ file, contract: given });
  return { gateway, events: (await gateway.call("GET", "/asyncapi.json", undefined, { authorization: "" })).body };
}

const camelCase = (name: string): string => name.replaceAll(/[:_](\w)/g, (_, letter: string) => letter.toUpperCase());

/** Whether a value fits the payload of a message. */
function fits(events: Json, message: string, value: unknown): boolean {
  const text = JSON.stringify({
    ...events["components"].messages[message].payload,
    $defs: events["components"].schemas,
  });
  return z.fromJSONSchema(JSON.parse(text.replaceAll("#/components/schemas/", "#/$defs/"))).safeParse(value).success;
}

test("a schema that throws for the example of the description has none", () => {
  const schema = {
    "~standard": {
      version: 1 as const,
      vendor: "own",
      validate(value: unknown): never {
        throw new TypeError(`no JSON: ${String(value)}`);
      },
    },
  };

  const { components } = describeEvents(defineContract({ events: { parse: schema } }), "1.0.0") as Json;

  expect(components.messages.appParse).toMatchObject({ name: "parse" });
  expect(components.messages.appParse).not.toHaveProperty("examples");
});

describe("/asyncapi.json", () => {
  test("is valid by AsyncAPI's own parser, without a warning", async () => {
    const { events } = await described();

    const { document, diagnostics } = await new Parser().parse(structuredClone(events) as never);

    // That there is a newer version is information only.
    expect(diagnostics.filter(({ code }) => code !== "asyncapi-latest-version")).toEqual([]);
    const operations = (document as AsyncAPIDocumentInterface).operations().all();
    expect(operations.map((operation) => operation.id())).toEqual(
      expect.arrayContaining(["subscribe", "onPublication", "appMove", "publishChatSaid", "onChatSaid"]),
    );
  });

  test("has an example of every message, which fits", async () => {
    const { events } = await described();

    for (const [key, { examples }] of Object.entries<Json>(events["components"].messages))
      expect({ key, fits: fits(events, key, examples?.[0].payload) }).toEqual({ key, fits: true });
  });

  test("describes what clients are answered and told", async () => {
    const { gateway, events } = await described();
    const { token } = await gateway.signIn("ann");
    const client = await gateway.connect(token);
    await gateway.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ann" } });
    const requests: [string, object][] = [
      ["leaderboard:submit", { board: "daily", score: 3 }],
      ["leaderboard:top", { board: "daily" }],
      ["leaderboard:around", { board: "daily" }],
      ["leaderboard:around", { board: "daily", member: "nobody" }],
      ["leaderboard:ranks", { board: "daily", members: ["ann"] }],
      ["order:get", { orderId: "o-1" }],
      ["orders:list", {}],
      ["subscribe", { channel: "order:o-1" }],
      ["subscribe", { channel: "chat:1" }],
      ["subscribe", { channel: "open:1" }],
      ["publish", { channel: "chat:1", event: "said", data: { text: "hi" } }],
      ["publish", { channel: "chat:1", event: "said", data: { text: "hi" }, ephemeral: true }],
      ["history", { channel: "chat:1" }],
      ["presence", { channel: "open:1" }],
      ["presence:set", { channel: "open:1", data: { typing: true } }],
      ["state:set", { channel: "open:1", key: "a", value: 1 }],
      ["unsubscribe", { channel: "chat:1" }],
      ["unsubscribe", { channel: "chat:1" }],
      ["sessions:list", {}],
      ["sessions:revoke", { others: true }],
      ["auth:refresh", { token }],
    ];

    for (const [name, request] of requests) {
      const answer: object = await client.emitWithAck(name, request);
      expect({ name, fits: fits(events, `${camelCase(name)}Request`, request) }).toEqual({ name, fits: true });
      expect({ name, answer, fits: fits(events, `${camelCase(name)}Answer`, answer) }).toEqual({
        name,
        answer,
        fits: true,
      });
    }
    client.emit("unheard of");
    const bob = await gateway.connect((await gateway.signIn("bob")).token);
    await bob.emitWithAck("subscribe", { channel: "open:1" });
    await eventually(() =>
      expect(client.events.map(([name]) => name)).toEqual(expect.arrayContaining(["presence", "state", "warning"])),
    );
    await gateway.call("POST", "/v1/users/ann/disconnect");

    expect(new Set(requests.map(([name]) => name))).toEqual(new Set(Object.keys(clientEvents)));
    await eventually(() => expect(client.events.map(([name]) => name)).toContain("closing"));
    for (const [name, payload] of client.events) {
      const key = `${camelCase(name)}Event`;
      expect({ name, payload, fits: fits(events, key, payload) }).toEqual({ name, payload, fits: true });
    }
    expect(new Set(client.events.map(([name]) => name))).toEqual(
      new Set(["ready", "publication", "presence", "state", "warning", "closing"]),
    );
  });

  test("is drawn on the page: what clients send, what they are told, and the contract's publications", async () => {
    const { events } = await described();
    const page = new URL("../../src/http/docs/events.js", import.meta.url).href;
    const { groupsOf } = (await import(page)) as { groupsOf: (given: Json) => [string, { message: Json }[]][] };

    const drawn = groupsOf(events).map(([title, members]) => [title, members.map(({ message }) => message["name"])]);

    expect(drawn).toEqual([
      ["Events of clients", [...Object.keys(clientEvents), "todo:create", "move"]],
      ["Events of the gateway", Object.keys(serverEvents)],
      ["Publications of the contract", ["said", "typing", "changed"]],
    ]);
  });

  test("has state, orders, scores and namespaces of the contract, valid and with examples", async () => {
    const data = z.object({ total: z.int() });
    const more = defineContract({
      state: { open: { "cursor:*": z.object({ x: z.number() }) } },
      orders: {
        data,
        events: { confirmed: z.object({ by: z.string() }) },
        signals: { place: z.object({ lat: z.number() }) },
      },
      leaderboards: { "race:*": z.object({ car: z.string() }) },
      namespaces: { "/admin": { ban: { input: z.object({ userId: z.string() }), answer: z.boolean() } } },
    });

    const { events } = await described(more as never);

    const { diagnostics } = await new Parser().parse(structuredClone(events) as never);
    expect(diagnostics.map(({ code }) => code)).toEqual(["asyncapi-latest-version"]);
    const { messages } = events["components"];
    const keys = [
      "setOpenCursor",
      "onStateOpenCursor",
      "sendOrderData",
      "receiveOrderConfirmed",
      "sendOrderPlace",
      "scoreBoardRace",
      "entryBoardRace",
      "appAdminBan",
      "appAdminBanAnswer",
    ];
    expect(keys.filter((key) => messages[key]?.examples === undefined)).toEqual([]);
    expect(Object.values<Json>(events["channels"]).map(({ address }) => address)).toEqual(
      expect.arrayContaining(["/socket.io/ (/admin)", "open:{name}", "order:{orderId}", "leaderboard:{board}"]),
    );
  });

  test("keeps events apart whose names differ only in signs", async () => {
    const alike = defineContract({ events: { "a-b": z.string(), "a b": z.number(), 消息: z.boolean() } });

    const { events } = await described(alike as never);

    const { messages, schemas } = events["components"];
    const names = ["appAB", "appAB2", "app"].map((key) => [messages[key].name, schemas[key].type]);
    expect(names).toEqual([
      ["a-b", "string"],
      ["a b", "number"],
      ["消息", "boolean"],
    ]);
  });

  test("describes what the contract says, and says what has no JSON Schema", async () => {
    const own = { "~standard": { version: 1, vendor: "own", validate: (value: unknown) => ({ value }) } } as const;
    const node = z.object({
      text: z.string(),
      get next() {
        return node.optional();
      },
    });
    const odd = defineContract({ events: { own }, channels: { chat: { said: node } } });

    const { events } = await described(odd as never);

    const { schemas } = events["components"];
    expect(schemas["appOwn"]).toMatchObject({ description: "Not described: own has no JSON Schema for it." });
    expect(schemas["onChatSaid"].properties).toMatchObject({
      text: { type: "string" },
      next: { allOf: [{ $ref: "#/components/schemas/onChatSaid" }] },
    });
    const { diagnostics } = await new Parser().parse(structuredClone(events) as never);
    expect(diagnostics.map(({ code }) => code)).toEqual(["asyncapi-latest-version"]);
  });
});
