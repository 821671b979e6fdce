import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { developmentFile } from "../../src/config/defaults.ts";
import { loadConfig, type Config } from "../../src/config.ts";
import { namesOf, problemsOf, readFrom } from "../support/config-problems.ts";

const load = (file: object): Config =>
  loadConfig({ GATEWAY_CONFIG: "gateway.json" }, readFrom({ "gateway.json": JSON.stringify(file) }));

const problems = (file: unknown) =>
  problemsOf(
    { GATEWAY_CONFIG: "gateway.json" },
    { "gateway.json": typeof file === "string" ? file : JSON.stringify(file) },
  );

describe("the JSON file", () => {
  test("has a JSON Schema, which the command line prints and a file may name", async () => {
    const printed: string[] = [];
    await runCommandLine(["config", "--schema"], {
      env: {},
      print: (text: string) => void printed.push(text),
    } as never);
    const schema = z.fromJSONSchema(JSON.parse(printed.join("")));
    const accepts = (file: unknown) => schema.safeParse(file).success;
    const example: unknown = JSON.parse(readFileSync("deploy/gateway.json", "utf8"));

    expect([{}, example, developmentFile].map(accepts)).toEqual([true, true, true]);
    expect(
      [{ unknown: 1 }, { limits: { payloadBytes: "big" } }, { channels: { a: { subscribe: "all" } } }].map(accepts),
    ).toEqual([false, false, false]);
    const named = { $schema: "./gateway.schema.json" };
    expect(accepts(named)).toBe(true);
    expect(load(named).channels).toEqual(load({}).channels);
    expect(Object.keys(load(named))).not.toContain("$schema");
  });

  test("names the wrong field of an object with two forms, if it is clear which one is meant", () => {
    const custom = {
      both: { capacity: 1, requests: 1 },
      misspelled: { capacity: 5, refillPerSeconds: 1 },
      wrong: { requests: 2, windowSeconds: 60, whenStoreIsAway: "allow" },
    };

    expect(problems({ limits: { custom } })).toEqual([
      {
        name: "limits.custom.both",
        message: "must be a token bucket (capacity, refillPerSecond) or a sliding window (requests, windowSeconds)",
      },
      { name: "limits.custom.misspelled.refillPerSecond", message: "is required" },
      { name: "limits.custom.misspelled.refillPerSeconds", message: "unknown setting" },
      { name: "limits.custom.wrong.whenStoreIsAway", message: "must be one of open, closed, local" },
    ]);
  });

  test("adds everything that the contract shows", () => {
    const file = {
      channels: {
        chat: {
          subscribe: "public",
          publish: "public",
          presence: true,
          history: { size: 100, ttlSeconds: 300 },
          conflateMs: 0,
        },
      },
      leaderboards: {
        daily: { order: "desc", mode: "best", top: 10, tickMs: 100, season: "daily", clientWrites: false },
      },
      orders: { transitions: { created: ["confirmed", "cancelled"] }, reorderWindowMs: 5_000 },
      bridges: [{ pattern: "order:status", channel: "order:{orderId}", event: "order.status" }],
      limits: {
        messages: { capacity: 50, refillPerSecond: 20, costs: { publish: 1, subscribe: 1, history: 5 } },
        handshakes: { capacity: 500, refillPerSecond: 100 },
        http: { requests: 60_000, windowSeconds: 60 },
        logins: { requests: 5, windowSeconds: 900 },
        connectionsPerUser: 20,
        subscriptionsPerConnection: 128,
        payloadBytes: 65_536,
        outboundQueueBytes: 1_048_576,
      },
      webhooks: [{ url: "https://backend.example/hooks", secret: "whsec_c2VjcmV0", events: ["channel.occupied"] }],
    };

    expect(load(file)).toMatchObject(file);
  });

  test("refuses to join texts where they would not be whole", () => {
    const channels = {
      answer: { merge: "append" },
      user: { merge: "append" },
      board: { merge: "append", state: true },
      price: { merge: "append", conflateMs: 50 },
      brief: { merge: "append", history: { ttlSeconds: 0 } },
    };

    const found = namesOf(problems({ channels }));

    expect(found).toHaveLength(4);
    for (const kind of ["user", "board", "price", "brief"])
      expect(found).toContainEqual(expect.stringContaining(`channels.${kind}.merge`));
  });

  test("may have a byte order mark, comments and a comma behind the last entry", () => {
    const text = `\ufeff// of the shop
      { /* who "may" // talk */ "channels": { "chat": { "subscribe": "public", }, },
        "webhooks": [{ "url": "https://a.example//x,]", "secret": "a,}//b", "events": ["order.status",] }], // "x": 1
      }`;
    const config = loadConfig({ GATEWAY_CONFIG: "gateway.json" }, readFrom({ "gateway.json": text }));

    expect(config.channels["chat"]).toMatchObject({ subscribe: "public" });
    expect(config.webhooks).toMatchObject([{ url: "https://a.example//x,]", secret: "a,}//b" }]);
  });

  test("names the place of a mistake behind comments", () => {
    expect(problems('{\n  // one\n  "channels": {}\n  "limits": {}\n}')).toEqual([
      { name: "GATEWAY_CONFIG", message: expect.stringContaining("is not JSON (line 4 column 3)") },
    ]);
  });

  test("names what is named twice, of which a reader could take either", () => {
    expect(problems('{ "channels": { "a": {} }, "limits": {}, "channels": {} }')).toEqual([
      { name: "channels", message: "is listed twice" },
    ]);
    expect(problems('{ "bridges": [{}, { "event": "a", "event": "b" }] }')).toEqual([
      { name: "bridges[1].event", message: "is listed twice" },
    ]);
  });

  test("says so where it is written in UTF-16", () => {
    expect(problems(Buffer.from("\ufeff{}", "utf16le").toString("utf8"))).toEqual([
      { name: "GATEWAY_CONFIG", message: expect.stringContaining("UTF-8") },
    ]);
  });

  test("replaces the development's channels and boards where it names its own", () => {
    const config = load({ channels: { feed: { subscribe: "public" } }, leaderboards: { race: { top: 3 } } });

    expect(config.channels["chat"]).toBeUndefined();
    expect(Object.keys(config.leaderboards)).toEqual(["race"]);
    expect(config.leaderboards["race"]).toMatchObject({ top: 3, order: "desc", tickMs: 100 });
  });

  test("leaves every default in place that it does not name", () => {
    const config = load({ limits: { messages: { costs: { "order:get": 2 } } } });

    expect(config.limits).toEqual({
      ...loadConfig({}).limits,
      messages: { capacity: 50, refillPerSecond: 20, costs: { publish: 1, subscribe: 1, history: 5, "order:get": 2 } },
    });
  });

  test("may tune a built-in kind, but not who may subscribe to it", () => {
    expect(load({ channels: { order: { history: { size: 7 } } } }).channels["order"]?.history?.size).toBe(7);
    expect(namesOf(problems({ channels: { order: { subscribe: "public" } } }))).toEqual(["channels.order"]);
  });
});

describe("a mistake in the JSON file", () => {
  const mistakes: [path: string, file: unknown][] = [
    ["GATEWAY_CONFIG", "{,"],
    ["GATEWAY_CONFIG", []],
    ["channels.chat.history.size", { channels: { chat: { history: { size: -1 } } } }],
    ["channels.chat.history.size", { channels: { chat: { history: { size: 1.5 } } } }],
    ["channels.chat.subscribe", { channels: { chat: { subscribe: "pubic" } } }],
    ["channels.chat.histroy", { channels: { chat: { histroy: {} } } }],
    ["channels.a:b", { channels: { "a:b": {} } }],
    ["channels.", { channels: { "": {} } }],
    ["leaderboards.daily.top", { leaderboards: { daily: { top: 0 } } }],
    ["leaderboards.daily.mode", { leaderboards: { daily: { mode: "worst" } } }],
    ["leaderboards.daily.tickMs", { leaderboards: { daily: { tickMs: 1 } } }],
    ["orders.transitions.created", { orders: { transitions: { created: "confirmed" } } }],
    ["orders.transitions", { orders: { transitions: {} } }],
    ["orders.reorderWindowMs", { orders: { reorderWindowMs: "5s" } }],
    ["orders.mostOpen", { orders: { mostOpen: 5 } }],
    ["commands.deduplicationSeconds", { commands: { deduplicationSeconds: 3_599 } }],
    ["bridges[0].channel", { bridges: [{ pattern: "x", channel: "unheard-of:1", event: "y" }] }],
    [
      "bridges[1].event",
      {
        bridges: [
          { pattern: "x", channel: "order:1", event: "y" },
          { pattern: "x", channel: "order:1" },
        ],
      },
    ],
    ["limits.messages.capacity", { limits: { messages: { capacity: 0 } } }],
    ["limits.messages.refillPerSecond", { limits: { messages: { refillPerSecond: 0 } } }],
    [
      "limits.custom.sms.refillPerSecond",
      { limits: { custom: { sms: { capacity: 1_000_000, refillPerSecond: 1e-15 } } } },
    ],
    ["orders.timeouts.constructor.to", { orders: { timeouts: { constructor: { afterSeconds: 1, to: "created" } } } }],
    [
      "app.events.report.cost",
      { app: { url: "https://x.example", secret: "x", events: { report: { cost: 51 }, other: { cost: 50 } } } },
    ],
    [
      "app.events.report.cost",
      {
        app: { url: "https://x.example", secret: "x", events: { report: { cost: 20 } } },
        limits: { roles: { guest: { messages: { capacity: 10, refillPerSecond: 1 } } } },
      },
    ],
    ["limits.messages.costs.histroy", { limits: { messages: { costs: { histroy: 1 } } } }],
    ["limits.messages.costs.history", { limits: { messages: { capacity: 4 } } }],
    ["limits.roles.staff.messages.refillPerSecond", { limits: { roles: { staff: { messages: { capacity: 9 } } } } }],
    [
      "limits.roles.staff.messages.capacity",
      { limits: { roles: { staff: { messages: { capacity: 4, refillPerSecond: 1 } } } } },
    ],
    ["limits.sessions.perUser.windowSeconds", { limits: { sessions: { perUser: { requests: 5 } } } }],
    ["limits.payloadBytes", { limits: { payloadBytes: 1e12 } }],
    ["tokens.tokenTtlSeconds", { tokens: { maxLifeSeconds: 60 } }],
    ["tokens.clockToleranceSeconds", { tokens: { clockToleranceSeconds: 60 } }],
    ["sessions.sessionIdleSeconds", { sessions: { sessionIdleSeconds: 3_600 } }],
    ["sessions.sessionIdleSeconds", { tokens: { maxLifeSeconds: 7 * 86_400 } }],
    ["sessions.maxSessionsPerUser", { sessions: { maxSessionsPerUser: 0 } }],
    ["webhooks[0].url", { webhooks: [{ url: "backend.example", secret: "x", events: ["order.status"] }] }],
    ["webhooks[0].events[0]", { webhooks: [{ url: "https://x.example", secret: "x", events: ["order.stats"] }] }],
    ["webhooks[0].secret", { webhooks: [{ url: "https://x.example", secret: "whsec_*", events: ["order.status"] }] }],
    [
      "webhooks[0].tries",
      { webhooks: [{ url: "https://x.example", secret: "x", events: ["order.status"], tries: 0 }] },
    ],
    ["webhooks[0].events", { webhooks: [{ url: "https://x.example", secret: "x", events: [] }] }],
  ];

  test.each(mistakes)("is told by its path %s: %j", (path, file) => {
    expect(namesOf(problems(file))).toEqual([path]);
  });

  test("is none where idle sessions outlive every token, if only just", () => {
    const file = { tokens: { maxLifeSeconds: 3_600 }, sessions: { sessionIdleSeconds: 3_665 } };

    expect(load(file).sessions.sessionIdleSeconds).toBe(3_665);
    expect(namesOf(problems({ ...file, sessions: { sessionIdleSeconds: 3_664 } }))).toEqual([
      "sessions.sessionIdleSeconds",
    ]);
  });

  test("is a user or password in a URL that cannot be decoded, and is not printed", () => {
    const url = "https://shop:100%secret@hooks.example";
    const file = { webhooks: [{ url, secret: "x", events: ["order.status"] }], app: { url, secret: "x" } };
    const message = "contains a % that is not followed by two hexadecimal digits in its user or password";

    expect(problems(file)).toEqual([
      { name: "webhooks[0].url", message },
      { name: "app.url", message },
    ]);
  });

  test("is told in plain words", () => {
    const file = { channels: { chat: { history: { size: 0.5 } } }, sockets: 7 };

    expect(problems(file)).toEqual([
      { name: "channels.chat.history.size", message: "must be a whole number" },
      { name: "sockets", message: "unknown setting" },
    ]);
  });

  test("says which setting or word was meant", () => {
    expect(problems({ limits: { message: {} }, channels: { chat: { subscribe: "pubic", histroy: {} } } })).toEqual([
      {
        name: "channels.chat.subscribe",
        message: "must be public, granted, role:NAME, hook or none, or a list of these",
      },
      { name: "channels.chat.histroy", message: "unknown setting; did you mean history?" },
      { name: "limits.message", message: "unknown setting; did you mean messages?" },
    ]);
  });

  test("is told together with all others, built-in kinds and costs included", () => {
    const file = {
      channels: { user: { publish: "public" }, chat: { presence: "yes" } },
      limits: { messages: { capacity: "many", costs: { publish: -1 } }, logins: { requests: 2.5 } },
      webhooks: [{}],
    };

    expect(namesOf(problems(file))).toEqual([
      "channels.chat.presence",
      "channels.user",
      "limits.messages.capacity",
      "limits.messages.costs.publish",
      "limits.logins.requests",
      "webhooks[0].url",
      "webhooks[0].secret",
      "webhooks[0].events",
    ]);
  });

  test("is a name that would reach a prototype, and be left out", () => {
    expect(problems('{"channels": {"__proto__": {"subscribe": "public"}, "chat": {}}}')).toEqual([
      { name: "channels.__proto__", message: "is not allowed as a key" },
    ]);
  });
});
