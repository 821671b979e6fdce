import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { inject, expect, onTestFinished, test } from "vitest";
import { startTelemetry } from "../../src/cli/telemetry.ts";
import { createPublisher, overHttp, overStream } from "../../src/publisher/publisher.ts";
import { apiKey, connectClient } from "../support/gateway.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { startNodeProcess, type NodeProcess } from "../support/node-process.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";

interface CollectedSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  node: string;
  service: string;
  status: { code?: number; message?: string };
  attributes: Record<string, unknown>;
}

/** A collector of OTLP over HTTP in JSON, and an app of the gateway. */
async function startCollector() {
  const spans: CollectedSpan[] = [];
  const appCalls: { traceparent: string | undefined; body: any }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString());
      response.setHeader("content-type", "application/json");
      if (request.url === "/v1/traces") spans.push(...spansOf(body));
      if (request.url !== "/app") return void response.end("{}");
      appCalls.push({ traceparent: request.headers["traceparent"] as string | undefined, body });
      response.end(JSON.stringify({ ack: ["done"], publish: [{ channel: "chat:1", event: "by app", data: 1 }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, appCalls };
}

function spansOf({ resourceSpans }: any): CollectedSpan[] {
  const plain = (attributes: any[]): Record<string, unknown> =>
    Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
  return resourceSpans.flatMap(({ resource, scopeSpans }: any) =>
    scopeSpans.flatMap(({ spans }: any) =>
      spans.map(({ attributes, ...span }: any) => {
        const own = plain(attributes);
        return {
          ...span,
          attributes: own,
          node: own["tidegate.node"],
          service: plain(resource.attributes)["service.name"],
        };
      }),
    ),
  );
}

const secret = "whsec_" + Buffer.from("webhook-secret-of-32-bytes-or-so!").toString("base64");
const traceOf = (digit: string) => ({
  traceId: digit.repeat(32),
  traceparent: `00-${digit.repeat(32)}-${"1".repeat(16)}-01`,
});

test("one trace leads from the publisher over HTTP, stream or app through the log to another node, app and webhook", async () => {
  const collector = await startCollector();
  const hooks = await startHookReceiver();
  const prefix = freshPrefix();
  const env = {
    REDIS_URL: inject("redisUrl"),
    KEY_PREFIX: prefix,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_RESOURCE_ATTRIBUTES: "service.name=shop-gateway",
  };
  const file = {
    channels: { chat: { subscribe: "public" } },
    app: { url: `${collector.url}/app`, secret, events: { buy: {} } },
    leaderboards: { daily: {} },
    webhooks: [{ url: hooks.url, secret, events: ["order.status"] }],
  };
  const nodes = ["n1", "n2"].map((nodeId) => startNodeProcess({ nodeId, env, file }));
  const [n1, n2] = (await Promise.all(nodes)) as [NodeProcess, NodeProcess];
  onTestFinished(async () => void (await Promise.all([n1.kill(), n2.kill()])));
  const client = await connectClient(n2.url, (await n1.signIn("alice")).token);
  await client.emitWithAck("subscribe", { channel: "chat:1" });
  const arrived = (event: string) =>
    eventually(() =>
      expect(client.events.map(([, publication]) => publication)).toContainEqual(expect.objectContaining({ event })),
    );
  const traced = (traceId: string, ...names: string[]) =>
    eventually(() => {
      const spans = collector.spans.filter((span) => span.traceId === traceId);
      expect(spans.map(({ name, node }) => `${node} ${name}`)).toEqual(expect.arrayContaining(names));
      return (name: string) => spans.find((span) => span.name === name) as CollectedSpan;
    });

  const delivered = (traceId: string, ...channels: string[]) =>
    eventually(() => {
      const spans = collector.spans.filter((span) => span.traceId === traceId && span.name === "deliver");
      const names = spans.map(({ attributes }) => attributes["messaging.destination.name"]);
      expect(names).toEqual(expect.arrayContaining(channels));
    });

  // Over HTTP: the header, and each publication of a batch
  const [one, two, three, four, five, six] = ["a", "b", "c", "d", "e", "f"].map(traceOf) as [
    ReturnType<typeof traceOf>,
    ReturnType<typeof traceOf>,
    ReturnType<typeof traceOf>,
    ReturnType<typeof traceOf>,
    ReturnType<typeof traceOf>,
    ReturnType<typeof traceOf>,
  ];
  const publication = { channel: "chat:1", event: "over http", data: { text: "hello" } };
  await n1.call("POST", "/v1/publish", publication, { traceparent: one.traceparent });
  await arrived("over http");
  const span = await traced(one.traceId, "n1 POST /v1/publish", "n1 command publish", "n1 append", "n2 deliver");
  expect(span("POST /v1/publish")).toMatchObject({
    parentSpanId: "1".repeat(16),
    service: "shop-gateway",
    attributes: { "http.route": "/v1/publish", "tidegate.node": "n1" },
  });
  expect(span("command publish").parentSpanId).toBe(span("POST /v1/publish").spanId);
  expect(span("append").parentSpanId).toBe(span("command publish").spanId);
  expect(span("deliver")).toMatchObject({
    parentSpanId: span("append").spanId,
    attributes: { "messaging.destination.name": "chat:1", "messaging.message.id": expect.stringMatching(/:1$/) },
  });
  const overBatch = createPublisher(overHttp({ url: n1.url, apiKey }), { traceparent: () => two.traceparent });
  await overBatch.publish({ channel: "chat:1", event: "in a batch", data: 1 });
  await traced(two.traceId, "n1 command publish", "n2 deliver");

  // Over the stream
  const { redis } = await redisWorld();
  const stream = redis.connection("commands");
  const onStream = createPublisher(overStream({ redis: stream, prefix }), { traceparent: () => three.traceparent });
  await onStream.publish({ channel: "chat:1", event: "on the stream", data: 1 });
  await arrived("on the stream");
  await eventually(() =>
    expect(namesOf(collector.spans, three.traceId)).toEqual(["append", "command publish", "deliver"]),
  );

  // An order's status to the webhook
  const order = { orderId: "o-1", parties: { customer: "alice" } };
  await n1.call("POST", "/v1/orders", order);
  await client.emitWithAck("subscribe", { channel: "order:o-1" });
  await client.emitWithAck("subscribe", { channel: "orders:alice" });
  await n1.call("POST", "/v1/orders/o-1/events", { status: "confirmed" }, { traceparent: four.traceparent });
  await traced(
    four.traceId,
    "n1 POST /v1/orders/{orderId}/events",
    "n1 command order.event",
    "n1 webhook order.status",
  );
  const told = hooks.deliveries.map(({ headers }) => headers["traceparent"] ?? "").filter((header) => header !== "");
  expect(told).toContainEqual(expect.stringMatching(new RegExp(`^00-${four.traceId}-[0-9a-f]{16}-01$`)));

  await delivered(four.traceId, "order:o-1", "orders:alice");

  // A score to the board and the ranks, and what has no log
  await client.emitWithAck("subscribe", { channel: "leaderboard:daily" });
  await client.emitWithAck("subscribe", { channel: "rank:daily:alice" });
  await n1.call("PUT", "/v1/leaderboards/daily/scores/alice", { score: 7 }, { traceparent: five.traceparent });
  await traced(five.traceId, "n1 command score.submit", "n2 deliver");
  await delivered(five.traceId, "leaderboard:daily", "rank:daily:alice");
  await n1.call("POST", "/v1/publish", { ...publication, ephemeral: true }, { traceparent: six.traceparent });
  await traced(six.traceId, "n1 command publish", "n2 deliver");
  // The next change has no trace, so it is not shown as a part of one before.
  const seen = collector.spans.filter(({ traceId }) => traceId === five.traceId).length;
  await n1.call("PUT", "/v1/leaderboards/daily/scores/alice", { score: 8 });
  await eventually(() => expect(JSON.stringify(client.events)).toContain('"score":8'));
  expect(collector.spans.filter(({ traceId }) => traceId === five.traceId)).toHaveLength(seen);

  // A client's event to the app, and what the app publishes
  expect(await client.emitWithAck("buy", { item: 1 })).toBe("done");
  await arrived("by app");
  const [, traceId = ""] = /^00-(\w{32})-/.exec(collector.appCalls[0]?.traceparent ?? "") ?? [];
  await traced(traceId, "n2 app event", "n2 app call event", "n2 command publish", "n2 append", "n2 deliver");
  expect(collector.spans.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["handshake authenticate", "handshake connect"]),
  );

  // Clients see nothing of it, neither live nor in the history
  expect(JSON.stringify(client.events)).not.toMatch(/traceparent|meta/);
  const history = await client.emitWithAck("history", { channel: "chat:1" });
  expect(JSON.stringify(history)).not.toMatch(/traceparent|meta/);
  const wrong = await n1.call("POST", "/v1/publish", { ...publication, meta: { traceparent: "x" } });
  expect(wrong.body).toMatchObject({ code: "bad_request", field: "meta.traceparent" });
});

const namesOf = (spans: readonly CollectedSpan[], traceId: string): string[] =>
  spans
    .filter((span) => span.traceId === traceId)
    .map(({ name }) => name)
    .toSorted();

test("without an endpoint nothing is loaded, and a missing SDK is a configuration error that says what to install", async () => {
  await (
    await startTelemetry({})
  )();
  await (
    await startTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:1", OTEL_SDK_DISABLED: "true" })
  )();
  const missing = (): Promise<never> => Promise.reject(new Error("Cannot find package '@opentelemetry/sdk-node'"));

  await expect(startTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:1" }, missing)).rejects.toThrow(
    /OTEL_EXPORTER_OTLP_ENDPOINT: needs @opentelemetry\/sdk-node, .*; run: npm install @opentelemetry\/sdk-node/,
  );
});
