import { describe, expect, it } from "vitest";
import { publishBody, startHttp } from "./support.ts";

describe("POST /v1/publish", () => {
  it("hands the publication on in canonical form and answers its place", async () => {
    const { call, channels } = await startHttp();

    const answer = await call("/v1/publish", {
      body: '{ "channel": "chat:lobby", "event": "said", "data": { "n": 1.0, "s": "\\u0041" } }',
    });

    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ channel: "chat:lobby", epoch: "e1", offset: 1, duplicate: false });
    expect(channels.requests).toEqual([
      { channel: "chat:lobby", event: "said", data: '{"n":1,"s":"A"}', idempotencyKey: undefined },
    ]);
  });

  it.each([null, false, 0, "", [], {}])("takes %j as data", async (data) => {
    const { call, channels } = await startHttp();

    expect((await call("/v1/publish", { body: { ...publishBody, data } })).status).toBe(200);
    expect(channels.requests[0]?.data).toBe(JSON.stringify(data));
  });

  it("refuses data over the limit, measured in bytes of its canonical form", async () => {
    const { call } = await startHttp();
    const fits = "é".repeat(32_767);

    expect((await call("/v1/publish", { body: { ...publishBody, data: fits } })).status).toBe(200);
    const refused = await call("/v1/publish", { body: { ...publishBody, data: `${fits}é` } });
    expect(refused.json).toMatchObject({ code: "payload_too_large", status: 413, field: "data" });
  });

  it("counts what was accepted", async () => {
    const { call, metrics } = await startHttp();

    await call("/v1/publish", { body: publishBody });
    await call("/v1/publish", { body: { ...publishBody, channel: "unknown:x" } });

    expect((await metrics.publications.get()).values).toMatchObject([{ value: 1, labels: { door: "http" } }]);
  });
});

describe("an idempotency key", () => {
  it.each([
    ["in the body", {}, { idempotencyKey: "k-1" }],
    ["in the header", { "idempotency-key": "k-1" }, {}],
    ["in the header as a quoted string", { "idempotency-key": '"k-1"' }, {}],
    ["in both", { "idempotency-key": "k-1" }, { idempotencyKey: "k-1" }],
  ])("%s reaches the channel", async (_name, headers, fields) => {
    const { call, channels } = await startHttp();

    const answer = await call("/v1/publish", { headers, body: { ...publishBody, ...fields } });

    expect(answer.status).toBe(200);
    expect(channels.requests[0]?.idempotencyKey).toBe("k-1");
  });

  it("that differs between header and body is refused", async () => {
    const { call, channels } = await startHttp();

    const answer = await call("/v1/publish", {
      headers: { "idempotency-key": "k-1" },
      body: { ...publishBody, idempotencyKey: "k-2" },
    });

    expect(answer.json).toMatchObject({ code: "bad_request", field: "idempotencyKey" });
    expect(channels.requests).toEqual([]);
  });

  it.each(["", "é", "k".repeat(257)])("that is no name is refused: %j", async (key) => {
    const { call } = await startHttp();

    const answer = await call("/v1/publish", { headers: { "idempotency-key": key }, body: publishBody });

    expect(answer.json).toMatchObject({ code: "bad_request", field: "Idempotency-Key" });
  });
});

describe("POST /v1/publish/batch", () => {
  it("answers each publication in order, and a bad one keeps none of the others", async () => {
    const { call, channels } = await startHttp();
    const publications = [
      { ...publishBody, data: 1 },
      { ...publishBody, event: 7 },
      "nonsense",
      { ...publishBody, channel: "unknown:x" },
      { ...publishBody, channel: "broken:x" },
      { ...publishBody, data: "x".repeat(65_536) },
      { ...publishBody, data: 2 },
    ];

    const answer = await call("/v1/publish/batch", { body: { publications } });

    expect(answer.status).toBe(200);
    expect(answer.json.results).toMatchObject([
      { ok: true, channel: "chat:lobby", offset: 1, duplicate: false },
      { ok: false, error: { code: "bad_request", message: "publications[1].event: must be a string" } },
      { ok: false, error: { code: "bad_request" } },
      { ok: false, error: { code: "unknown_channel" } },
      { ok: false, error: { code: "internal" } },
      { ok: false, error: { code: "payload_too_large", message: "publications[5].data: must be at most 65536 bytes" } },
      { ok: true, offset: 2 },
    ]);
    expect(answer.text).not.toContain("10.1.2.3");
    expect(channels.requests.map((request) => request.data)).toEqual(["1", "2"]);
  });

  it("takes 1000 and refuses 1001", async () => {
    const { call, channels } = await startHttp();
    const publications = Array.from({ length: 1_000 }, () => publishBody);

    expect((await call("/v1/publish/batch", { body: { publications } })).json.results).toHaveLength(1_000);
    const refused = await call("/v1/publish/batch", { body: { publications: [...publications, publishBody] } });

    expect(refused.json).toMatchObject({ code: "bad_request", field: "publications" });
    expect(channels.requests).toHaveLength(1_000);
  });

  it("with one key gives each publication a key of its own, save those that bring one", async () => {
    const { call, channels } = await startHttp();
    const publications = [publishBody, { ...publishBody, idempotencyKey: "own" }, publishBody];

    await call("/v1/publish/batch", { headers: { "idempotency-key": "k" }, body: { publications } });

    expect(channels.requests.map((request) => request.idempotencyKey)).toEqual(["k#0", "own", "k#2"]);
  });

  it("of nothing answers nothing", async () => {
    const { call } = await startHttp();

    expect((await call("/v1/publish/batch", { body: { publications: [] } })).json).toEqual({ results: [] });
  });
});

describe("POST /v1/broadcast", () => {
  it("publishes the same into each channel and answers in their order", async () => {
    const { call, channels } = await startHttp();
    const names = ["chat:a", "", "unknown:x", 5, "chat:b"];

    const answer = await call("/v1/broadcast", {
      body: { channels: names, event: "said", data: [1], idempotencyKey: "k" },
    });

    expect(answer.json.results).toMatchObject([
      { ok: true, channel: "chat:a" },
      { ok: false, error: { code: "bad_request", message: expect.stringContaining("channels[1]") } },
      { ok: false, error: { code: "unknown_channel" } },
      { ok: false, error: { code: "bad_request" } },
      { ok: true, channel: "chat:b" },
    ]);
    expect(channels.requests).toEqual(
      ["chat:a", "chat:b"].map((channel) => ({ channel, event: "said", data: "[1]", idempotencyKey: "k" })),
    );
  });

  it("takes 1000 channels and refuses 10,000", async () => {
    const { call, channels } = await startHttp();
    const named = (count: number) => Array.from({ length: count }, (_, index) => `chat:${index}`);

    expect(
      (await call("/v1/broadcast", { body: { ...publishBody, channels: named(1_000), channel: undefined } })).json,
    ).toMatchObject({ results: { length: 1_000 } });
    const refused = await call("/v1/broadcast", { body: { channels: named(10_000), event: "e", data: 1 } });

    expect(refused.json).toMatchObject({ code: "bad_request", field: "channels" });
    expect(channels.requests).toHaveLength(1_000);
  });
});

describe("GET /v1/channels", () => {
  it("hands the query on, and reads an empty field as none", async () => {
    const { call } = await startHttp();

    expect((await call("/v1/channels?prefix=chat:&limit=&cursor=")).json).toEqual({
      channels: [{ channel: "chat:lobby", subscribers: 2 }],
    });
  });

  it("/{channel}/history decodes the channel and takes a position", async () => {
    const { call, channels } = await startHttp();

    const answer = await call(
      `/v1/channels/${encodeURIComponent("order:a/b?c#ü {x}")}/history?epoch=e1&offset=3&limit=5`,
    );
    await call("/v1/channels/chat:lobby/history");

    expect(answer.json).toEqual({ channel: "order:a/b?c#ü {x}", epoch: "e1", offset: 0, publications: [] });
    expect(channels.histories).toEqual([
      { channel: "order:a/b?c#ü {x}", since: { epoch: "e1", offset: 3 }, limit: 5 },
      { channel: "chat:lobby", since: undefined, limit: undefined },
    ]);
  });
});
