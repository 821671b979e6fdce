import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { keysOf, sign } from "../../src/webhooks/signature.ts";
import { readableLog } from "../support/edge.ts";
import { startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { within } from "../support/promised.ts";
import { freePort } from "../support/redis-server.ts";
import { eventually } from "../support/world.ts";
import { json, secret, startApp, type Answer, type Forwarded } from "./http-app.ts";

/** Long, so that a loaded machine is not mistaken for a slow app. */
const patientMs = 30_000;

/** For so long an app that was not reached five times is not asked. */
const pauseMs = 1_000;

async function gatewayFor(
  answer: Answer,
  timeoutMs = patientMs,
  credentials = "",
): Promise<{ gateway: TestGateway; client: Client; requests: Forwarded[] }> {
  const { url: address, requests } = await startApp(answer);
  const url = address.replace("://", `://${credentials}`);
  const gateway = await startGateway({
    file: { channels: { chat: { subscribe: "public" } }, app: { url, secret, timeoutMs } },
  });
  const client = await gateway.connect((await gateway.signIn("ann")).token);
  return { gateway, client, requests };
}

test("an event is forwarded, signed, with its user, and acknowledged with what the app answers", async () => {
  const { client, requests } = await gatewayFor(json(({ json: { args } }) => ({ ack: [...args, { done: true }] })));

  const acknowledged = await new Promise<unknown[]>((resolve) =>
    client.emit("move", 1, Buffer.from([7]), (...args: unknown[]) => resolve(args)),
  );

  expect(acknowledged).toEqual([1, Buffer.from([7]), { done: true }]);
  const [{ headers, body, json: sent }] = requests as [Forwarded];
  expect(sent).toMatchObject({
    type: "event",
    event: "move",
    args: [1, { $binary: "Bw==" }],
    namespace: "/",
    connection: { connectionId: client.id, userAgent: "" },
    user: { userId: "ann", roles: [] },
  });
  const signed = { id: String(headers["webhook-id"]), timestamp: Number(headers["webhook-timestamp"]), body };
  expect(headers["webhook-signature"]).toBe(sign(keysOf(secret), signed));
  expect(sent.id).toBe(headers["webhook-id"]);
});

test("each request is part of a trace: the client's, or one of its own", async () => {
  const { gateway, client, requests } = await gatewayFor(json(() => ({ ack: [] })));
  const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-00`;
  const traced = await gateway.connect((await gateway.signIn("bob")).token, { extraHeaders: { traceparent } });

  for (const each of [client, client, traced]) await each.emitWithAck("move");

  const [first, second, ofClient] = requests.map(({ headers }) => headers.traceparent);
  expect(first).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-01$/);
  expect(second).not.toBe(first);
  expect(ofClient).toBe(traceparent);
});

test("user and password in the URL of the app are sent as basic authentication", async () => {
  const { client, requests } = await gatewayFor(
    json(() => ({ ack: [] })),
    patientMs,
    "ann%40proxy:pa%3Ass@",
  );

  await client.emitWithAck("move");
  const sent = Buffer.from("ann@proxy:pa:ss").toString("base64");
  expect(requests).toMatchObject([{ headers: { authorization: `Basic ${sent}` } }]);
});

test("effects subscribe, publish, emit and disconnect", async () => {
  const { client } = await gatewayFor(
    json(({ json: { event } }) =>
      event === "leave"
        ? { ack: ["bye"], disconnect: { message: "as you wish" } }
        : {
            subscribe: ["chat:lobby"],
            publish: [{ channel: "chat:lobby", event: "joined", data: { userId: "ann" } }],
            emit: [{ event: "welcome", args: ["ann", 1] }],
          },
    ),
  );

  client.emit("enter");
  await eventually(() => expect(client.events.map(([name]) => name)).toContain("publication"));
  await eventually(() => expect(client.events).toContainEqual(["welcome", "ann", 1]));
  expect(await client.emitWithAck("leave")).toBe("bye");

  await eventually(() =>
    expect(client.events).toContainEqual([
      "closing",
      expect.objectContaining({ code: "disconnected_by_backend", message: "as you wish" }),
    ]),
  );
});

const elevenFiles = Array.from({ length: 11 }, () => ({ $binary: "AA==" }));

test.each<[string, object]>([
  ["an acknowledgement", { ack: elevenFiles }],
  ["an event", { emit: [{ event: "files", args: [{ files: elevenFiles }] }] }],
  ["a placeholder", { ack: [{ $binary: "AA==" }, { _placeholder: true, num: 7 }] }],
])("binary that stock clients would disconnect for is refused: %s", async (_, answer) => {
  const { client } = await gatewayFor(json(({ json: { event } }) => (event === "fine" ? { ack: ["fine"] } : answer)));

  expect(await client.emitWithAck("files")).toMatchObject({ ok: false, error: { code: "app_failed" } });
  expect(await client.emitWithAck("fine")).toBe("fine");
});

test("failing events of any name are logged once a second, with a short name", async () => {
  const { log, lines } = readableLog();
  const { url } = await startApp(json(() => ({ unknown: true })));
  const gateway = await startGateway({ file: { app: { url, secret, timeoutMs: patientMs } }, log });
  const client = await gateway.connect((await gateway.signIn("ann")).token);

  const names = Array.from({ length: 20 }, (_, n) => `${"name".repeat(100)} ${n}`);
  await Promise.all(names.map((name) => client.emitWithAck(name)));

  const failures = lines.filter(({ place }) => place === "app.event");
  expect(failures[0]).toMatchObject({ event: "name".repeat(32), msg: "failed" });
  expect(failures.length).toBeLessThan(names.length / 2);
});

test("an app closes a connection with a code of its own choice, but cannot send an event of the gateway", async () => {
  const { client } = await gatewayFor(
    json(({ json: { event } }) =>
      event === "block"
        ? { disconnect: { code: "user_blocked", message: "not welcome", reconnect: false } }
        : { emit: [{ event: "closing", args: [{ code: "drain" }] }] },
    ),
  );

  expect(await client.emitWithAck("imitate")).toMatchObject({ ok: false, error: { code: "app_failed" } });
  client.emit("block");

  await eventually(() =>
    expect(client.events.filter(([name]) => name === "closing")).toEqual([
      ["closing", { code: "user_blocked", message: "not welcome", reconnect: false }],
    ]),
  );
});

test("an event takes as many tokens of the user's messages as it is said to cost", async () => {
  const { url } = await startApp(json(({ json: { event } }) => ({ ack: [event] })));
  const gateway = await startGateway({
    file: {
      app: { url, secret, events: { search: { cost: 4 }, "*": { cost: 2 } } },
      limits: { messages: { capacity: 6, refillPerSecond: 0.001 } },
    },
  });
  const client = await gateway.connect((await gateway.signIn("ann")).token);

  expect(await client.emitWithAck("search")).toBe("search");
  expect(await client.emitWithAck("move")).toBe("move");
  expect(await client.emitWithAck("move")).toMatchObject({ ok: false, error: { code: "rate_limited" } });
});

test("events of a connection reach the app one after the other, in order", async () => {
  let running = 0;
  let most = 0;
  const { client, requests } = await gatewayFor((request, response) => {
    most = Math.max(most, ++running);
    setTimeout(() => {
      running -= 1;
      json(() => ({ ack: [] }))(request, response);
    }, 5);
  });

  await Promise.all([1, 2, 3, 4].map((number) => client.emitWithAck("step", number)));

  expect(requests.map(({ json: { args } }) => args[0])).toEqual([1, 2, 3, 4]);
  expect(most).toBe(1);
});

describe("an app that fails is named, and the connection goes on", () => {
  const behaviours: Record<string, Answer> = {
    hang: () => undefined,
    nonsense: (_request, response) => void response.end("<html>"),
    flood: (_request, response) => void response.end(JSON.stringify({ ack: ["x".repeat(10_000_000)] })),
    redirect: (_request, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    cut: (_request, response) => void response.destroy(),
    "cut in the middle": (_request, response) =>
      void response.writeHead(200, { "content-length": 100 }).write('{"ack":[', () => response.destroy()),
    drip: (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" "), 100);
      response.once("close", () => clearInterval(timer));
    },
    endless: (_request, response) => {
      const more = (): void => {
        while (response.write(" ".repeat(65_536)));
      };
      response.writeHead(200).on("drain", more);
      more();
    },
    bomb: (_request, response) =>
      void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(" ".repeat(50_000_000))),
    unknown: json(() => ({ nack: [] })),
    fine: json(() => ({ ack: ["fine"] })),
  };

  test.each([
    ["hang", "timeout"],
    ["nonsense", "app_failed"],
    ["flood", "app_failed"],
    ["redirect", "app_failed"],
    ["cut", "app_failed"],
    ["cut in the middle", "app_failed"],
    ["drip", "timeout"],
    ["endless", "app_failed"],
    ["bomb", "app_failed"],
    ["unknown", "app_failed"],
  ])("%s: %s", async (event, code) => {
    const { client } = await gatewayFor(
      (request, response) => behaviours[request.json.event]?.(request, response),
      code === "timeout" ? 500 : patientMs,
    );

    expect(await client.emitWithAck(event)).toMatchObject({
      ok: false,
      error: { code, retryAfterMs: expect.any(Number) },
    });
    await eventually(async () => expect(await client.emitWithAck("fine")).toBe("fine"));
  });

  test("a hanging event holds up its own connection only, and no longer than the time-out", async () => {
    const timeoutMs = 3_000;
    const { gateway, client } = await gatewayFor(
      (request, response) => behaviours[request.json.event]?.(request, response),
      timeoutMs,
    );
    const other = await gateway.connect((await gateway.signIn("bob")).token);

    await within(timeoutMs, async () => {
      let isHanging = true;
      const hanging = client.emitWithAck("hang").finally(() => (isHanging = false));
      try {
        expect(await other.emitWithAck("fine")).toBe("fine");
        expect(await client.emitWithAck("subscribe", { channel: "chat:1" })).toMatchObject({ ok: true });
        expect(isHanging).toBe(true);
      } finally {
        expect(await hanging).toMatchObject({ error: { code: "timeout" } });
      }
    });
  });

  test("many endless answers at a time take no more than their bounds, and end on both sides", async () => {
    let open = 0;
    const { gateway } = await gatewayFor((request, response) => {
      open += 1;
      response.once("close", () => (open -= 1));
      behaviours["endless"]?.(request, response);
    });
    const clients = await Promise.all(
      Array.from({ length: 20 }, async (_, number) => gateway.connect((await gateway.signIn(`user ${number}`)).token)),
    );

    const answers = await Promise.all(clients.map((client) => client.emitWithAck("endless")));

    expect(answers.map(({ error }) => error.code)).toEqual(answers.map(() => "app_failed"));
    await eventually(() => expect(open).toBe(0));
  });

  test("a request on an idle connection that the app closes is sent again, with its id", async () => {
    const sockets = new WeakMap<object, number>();
    let cuts = 0;
    const { client, requests } = await gatewayFor((request, response) => {
      const served = (sockets.get(response.socket ?? {}) ?? 0) + 1;
      sockets.set(response.socket ?? {}, served);
      if (served < 2 || cuts > 0) return json(() => ({ ack: ["fine"] }))(request, response);
      cuts += 1;
      response.destroy();
    });

    expect(await client.emitWithAck("first")).toBe("fine");
    expect(await client.emitWithAck("second")).toBe("fine");

    const [first, second, repeated] = requests.map(({ headers }) => headers["webhook-id"]);
    expect(cuts).toBe(1);
    expect(second).not.toBe(first);
    expect(repeated).toBe(second);
  });

  test("a request on a new connection that the app closes is not sent again: the app may have begun it", async () => {
    const { client, requests } = await gatewayFor(behaviours["cut"] as Answer);

    expect(await client.emitWithAck("cut")).toMatchObject({ error: { code: "app_failed" } });
    expect(requests).toHaveLength(1);
  });

  test("an app that is gone is named, and asked again once it is back", async () => {
    const port = await freePort();
    const { url, server } = await startApp(
      json(() => ({ ack: ["fine"] })),
      port,
    );
    const gateway = await startGateway({ file: { app: { url, secret, timeoutMs: patientMs } } });
    const client = await gateway.connect((await gateway.signIn("ann")).token);
    expect(await client.emitWithAck("move")).toBe("fine");

    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await client.emitWithAck("move")).toMatchObject({ error: { code: "app_failed", retryAfterMs: 1_000 } });
    await within(pauseMs, async () => {
      for (let count = 0; count < 4; count += 1) await client.emitWithAck("move");
      expect(await client.emitWithAck("move")).toMatchObject({ error: { code: "unavailable", retryAfterMs: 1_000 } });
    });

    server.listen(port, "127.0.0.1");
    await eventually(async () => expect(await client.emitWithAck("move")).toBe("fine"));
  });

  test("after repeated failures it is not asked any more for a moment", async () => {
    const { client, requests } = await gatewayFor((_request, response) => void response.writeHead(503).end());
    for (let count = 0; count < 4; count += 1) await client.emitWithAck("break");

    await within(pauseMs, async () => {
      const before = requests.length;
      await client.emitWithAck("break");
      expect(await client.emitWithAck("break")).toMatchObject({ error: { code: "unavailable" } });
      expect(requests.length - before).toBeLessThanOrEqual(1);
    });
    expect(requests.length).toBeGreaterThanOrEqual(5);
  });

  test("on the events of one user, it goes on serving the others", async () => {
    const { gateway, client } = await gatewayFor((request, response) =>
      request.json.user.userId === "ann"
        ? response.writeHead(500).end()
        : json(() => ({ ack: ["fine"] }))(request, response),
    );
    const other = await gateway.connect((await gateway.signIn("bob")).token);

    for (let count = 0; count < 8; count += 1)
      expect(await client.emitWithAck("break")).toMatchObject({ error: { code: "app_failed" } });

    expect(await other.emitWithAck("move")).toBe("fine");
  });
});
