import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import type { StateSnapshot } from "../../src/protocol/wire.ts";
import { readEvents, type EventReader } from "../support/event-stream.ts";
import { apiKey, startGateway, told, type TestGateway } from "../support/gateway.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/world.ts";

const file = {
  channels: {
    chat: { subscribe: "public", publish: "public", presence: true, history: { size: 1000, ttlSeconds: 60 } },
    secret: { subscribe: "granted" },
    talk: { subscribe: "public", deliver: "event" },
  },
};

const asBearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

const streamUrl = (url: string, channels: readonly string[], more = ""): string =>
  `${url}/v1/stream?${channels.map((channel) => `channel=${encodeURIComponent(channel)}`).join("&")}${more}`;

const publish = ({ call }: TestGateway, channel: string, n: number) =>
  call("POST", "/v1/publish", { channel, event: "said", data: { n } });

const offsets = (reader: EventReader, channel: string): number[] =>
  reader
    .named("publication")
    .filter((publication) => publication.channel === channel)
    .map(({ offset }) => offset);

test("a client reads channels with its token, a backend with its API key", async () => {
  const gateway = await startGateway({ file });
  const { token } = await gateway.signIn("ada");
  const channels = ["chat:a", "chat:b"];

  const client = await readEvents(streamUrl(gateway.url, channels), asBearer(token));
  const backend = await readEvents(streamUrl(gateway.url, ["secret:x", ...channels]), asBearer(apiKey));
  await eventually(() => expect(client.named("subscribed")).toHaveLength(2));
  await eventually(() => expect(backend.named("subscribed")).toHaveLength(3));
  await publish(gateway, "chat:a", 1);
  await publish(gateway, "chat:b", 2);
  await publish(gateway, "secret:x", 3);

  expect(client.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
  expect(await client.first("ready")).toMatchObject({ userId: "ada" });
  expect(client.named("subscribed")[0]).toMatchObject({ channel: "chat:a", offset: 0, recovered: false, missed: 0 });
  await eventually(() => expect(client.named("publication")).toHaveLength(2));
  expect(client.named("publication").find(({ channel }) => channel === "chat:a")).toMatchObject({
    offset: 1,
    event: "said",
    data: { n: 1 },
  });
  // There is an order within a channel only.
  const numbers = () => backend.named("publication").map(({ data }) => data.n as number);
  await eventually(() => expect(numbers().toSorted((a, b) => a - b)).toEqual([1, 2, 3]));
});

test("a stream has publications of kinds that deliver events too, and positions of those it does not receive", async () => {
  const gateway = await startGateway({ file });
  const reader = await readEvents(streamUrl(gateway.url, ["talk:a"]), asBearer((await gateway.signIn("ada")).token));
  await eventually(() => expect(reader.named("subscribed")).toHaveLength(1));
  const body = { channel: "talk:a", event: "chat message", data: { n: 1 }, from: { userId: "bob" } };
  await gateway.call("POST", "/v1/publish", body);
  await gateway.call("POST", "/v1/publish", { ...body, except: "user:ada" });
  await gateway.call("POST", "/v1/publish", { ...body, ephemeral: true });

  await eventually(() => expect(reader.named("publication")).toHaveLength(2));
  expect(reader.named("publication")[0]).toMatchObject({ ...body, offset: 1 });
  expect(reader.named("publication")[1]).toEqual({ ...body, publishedAt: expect.any(Number) });
  await eventually(() => expect(reader.named("position")).toMatchObject([{ channel: "talk:a", offset: 2 }]));
});

test("a stream is refused before it begins, with the code of the refusal", async () => {
  const gateway = await startGateway({
    file: { ...file, limits: { subscriptionsPerConnection: 2 } },
    env: { ALLOWED_ORIGINS: "https://shop.example" },
  });
  const { token } = await gateway.signIn("ada");
  const refusalOf = async (path: string, headers: Record<string, string>) => {
    const response = await fetch(`${gateway.url}${path}`, { headers });
    return [response.status, ((await response.json()) as { code: string }).code];
  };
  const own = asBearer(token);

  expect(await refusalOf("/v1/stream?channel=chat:a", {})).toEqual([401, "unauthorized"]);
  expect(await refusalOf("/v1/stream?channel=chat:a", asBearer("nonsense"))).toEqual([401, "unauthorized"]);
  expect(await refusalOf(`/v1/stream?channel=chat:a&token=${token}`, {})).toEqual([401, "unauthorized"]);
  expect(await refusalOf("/v1/stream?channel=secret:x", own)).toEqual([403, "forbidden"]);
  expect(await refusalOf("/v1/stream?channel=user:bob", own)).toEqual([403, "forbidden"]);
  expect(await refusalOf("/v1/stream?channel=nobody:x", own)).toEqual([404, "unknown_channel"]);
  expect(await refusalOf("/v1/stream?channel=chat:1&channel=chat:2&channel=chat:3", own)).toEqual([
    429,
    "subscription_limit",
  ]);
  expect(await refusalOf("/v1/stream", asBearer("nonsense"))).toEqual([401, "unauthorized"]);
  expect(await refusalOf("/v1/stream", own)).toEqual([400, "bad_request"]);
  expect(await refusalOf("/v1/stream?channel=chat:*", own)).toEqual([400, "bad_request"]);
  expect(await refusalOf("/v1/channels/chat:*/poll", own)).toEqual([400, "bad_request"]);
  expect(await refusalOf("/v1/stream?channel=chat:a", { ...own, origin: "https://evil.example" })).toEqual([
    403,
    "forbidden",
  ]);
  const head = await fetch(`${gateway.url}/v1/stream?channel=chat:a`, { method: "HEAD", headers: asBearer(apiKey) });
  expect([head.status, head.headers.get("allow")]).toEqual([405, "GET"]);
  // Nothing of the refused streams counts as a connection.
  await eventually(async () =>
    expect((await gateway.call("GET", "/v1/users/ada/sessions")).body.sessions[0].connections).toBe(0),
  );
});

test("a backend's streams count as calls of its key, and are refused with what is left of the limit", async () => {
  const gateway = await startGateway({ file: { ...file, limits: { http: { requests: 1, windowSeconds: 60 } } } });
  const reader = await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(apiKey));
  expect(reader.headers["ratelimit"]).toMatch(/^"http";r=0;t=\d+$/);

  const refused = await fetch(streamUrl(gateway.url, ["chat:a"]), { headers: asBearer(apiKey) });

  expect(await refused.json()).toMatchObject({ code: "rate_limited", status: 429 });
  expect(refused.headers.get("ratelimit")).toMatch(/^"http";r=0;t=\d+$/);
  expect(refused.headers.get("ratelimit-policy")).toBe('"http";q=1;w=60');
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("over random cuts a stream of several channels receives every publication once, in order", async () => {
  const random = seeded(16);
  const gateway = await startGateway({ file });
  const { token } = await gateway.signIn("ada");
  const channels = ["chat:a", "chat:b", "chat:c"];
  const read = new Map<string, number[]>(channels.map((channel) => [channel, []]));
  let id = "";

  for (let round = 0; round < 12; round++) {
    const headers = { ...asBearer(token), ...(id === "" ? {} : { "last-event-id": id }) };
    const reader = await readEvents(streamUrl(gateway.url, channels), headers);
    // Without a position, only what comes after the subscription is read.
    await eventually(() => expect(reader.named("subscribed").length).toBeGreaterThanOrEqual(round === 0 ? 3 : 1));
    const count = Math.floor(random() * 12);
    const sent = Array.from({ length: count }, (_, n) => publish(gateway, channels[n % 3] as string, n));
    const wanted = Math.floor(random() * count);
    await eventually(() => expect(reader.named("publication").length).toBeGreaterThanOrEqual(wanted));
    reader.cut();
    await reader.ended();
    await Promise.all(sent);
    if (round > 0) for (const { recovered } of reader.named("subscribed")) expect(recovered).toBe(true);
    // The client has everything up to the last id it read, and nothing of what came after it.
    for (const channel of channels) read.get(channel)?.push(...offsets(reader, channel));
    id = reader.lastEventId;
  }

  const last = await readEvents(streamUrl(gateway.url, channels), { ...asBearer(token), "last-event-id": id });
  for (const channel of channels) {
    const { offset } = (await gateway.call("GET", `/v1/channels/${encodeURIComponent(channel)}/history`)).body;
    const all = Array.from({ length: offset }, (_, n) => n + 1);
    await eventually(() => expect([...(read.get(channel) as number[]), ...offsets(last, channel)]).toEqual(all));
  }
});

test("what cannot be recovered is said by channel, and the stream goes on from there", async () => {
  const gateway = await startGateway({ file });
  const { token } = await gateway.signIn("ada");
  await publish(gateway, "chat:a", 1);
  const first = await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(token));
  await first.first("subscribed");
  const id = first.lastEventId.replace(/~[0-9a-f]+~/, "~lost~");
  first.cut();

  const unknown = await readEvents(streamUrl(gateway.url, ["chat:a", "chat:b"]), {
    ...asBearer(token),
    "last-event-id": id,
  });
  const foreign = await readEvents(streamUrl(gateway.url, ["chat:a"]), { ...asBearer(token), "last-event-id": "17" });

  await eventually(() =>
    expect(unknown.named("subscribed")).toMatchObject([
      { channel: "chat:a", offset: 1, recovered: false, missed: 0 },
      { channel: "chat:b", offset: 0, recovered: false, missed: 0 },
    ]),
  );
  expect(await foreign.first("subscribed")).toMatchObject({ recovered: false });
  await publish(gateway, "chat:a", 2);
  await eventually(() => expect(offsets(unknown, "chat:a")).toEqual([2]));
});

test("a ticket opens one stream, which its EventSource alone can resume", async () => {
  const gateway = await startGateway({ file });
  const { sessionId } = await gateway.signIn("ada");
  const issued = await gateway.call("POST", `/v1/sessions/${sessionId}/ticket`);
  expect(issued.status).toBe(201);
  expect(issued.body.expiresAt).toBeGreaterThan(Date.now());
  const url = streamUrl(gateway.url, ["chat:a"], `&ticket=${issued.body.ticket}`);

  const first = await readEvents(url);
  await first.first("subscribed");
  first.cut();
  await publish(gateway, "chat:a", 1);

  expect((await readEvents(url)).status).toBe(401);
  expect((await readEvents(url, { "last-event-id": ";" })).status).toBe(401);
  expect((await readEvents(`${url}&lastEventId=${encodeURIComponent(first.lastEventId)}`)).status).toBe(401);
  const resumed = await readEvents(url, { "last-event-id": first.lastEventId });
  await eventually(() => expect(offsets(resumed, "chat:a")).toEqual([1]));

  // With a new ticket, the position may stand in the query.
  const { ticket } = (await gateway.call("POST", `/v1/sessions/${sessionId}/ticket`)).body;
  const position = encodeURIComponent(first.lastEventId);
  const anew = await readEvents(streamUrl(gateway.url, ["chat:a"], `&ticket=${ticket}&lastEventId=${position}`));
  await eventually(() => expect(offsets(anew, "chat:a")).toEqual([1]));
  expect((await gateway.call("POST", "/v1/sessions/none/ticket")).status).toBe(404);
});

test("a stream counts as a connection of its user, and ends with its session", async () => {
  const gateway = await startGateway({ file: { ...file, limits: { connectionsPerUser: 2 } } });
  const { token, sessionId } = await gateway.signIn("ada");
  const watcher = await gateway.connect((await gateway.signIn("bob")).token);
  await watcher.emitWithAck("subscribe", { channel: "chat:a" });

  const [stream] = await Promise.all(
    [1, 2].map(async () => {
      const reader = await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(token));
      await reader.first("subscribed");
      return reader;
    }),
  );
  expect((await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(token))).status).toBe(429);
  await eventually(() => expect(JSON.stringify(told(watcher, "presence"))).toContain("ada"));
  // A backend reads along and is no member.
  await (await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(apiKey))).first("subscribed");
  expect(await watcher.emitWithAck("presence", { channel: "chat:a" })).toMatchObject({ count: 2 });

  const ended = await gateway.call("DELETE", `/v1/sessions/${sessionId}`);

  expect(ended.body).toMatchObject({ revoked: 1, disconnected: 2 });
  expect(await stream?.first("closing")).toMatchObject({ code: "session_revoked", reconnect: false });
  await stream?.ended();
  await eventually(async () =>
    expect(await watcher.emitWithAck("presence", { channel: "chat:a" })).toMatchObject({ count: 1 }),
  );
});

test("rights that a session loses end its subscriptions, and with the last one the stream", async () => {
  const gateway = await startGateway({ file });
  const { token, sessionId } = await gateway.signIn("ada", { channels: { subscribe: ["secret:*"] } });
  const both = await readEvents(streamUrl(gateway.url, ["secret:x", "chat:a"]), asBearer(token));
  const only = await readEvents(streamUrl(gateway.url, ["secret:x"]), asBearer(token));
  await eventually(() => expect([...both.named("subscribed"), ...only.named("subscribed")]).toHaveLength(3));

  const changed = await gateway.call("PATCH", `/v1/sessions/${sessionId}`, { channels: { subscribe: [] } });

  expect(changed.status).toBe(200);
  await only.ended();
  for (const reader of [both, only])
    expect(await reader.first("unsubscribed")).toMatchObject({ channel: "secret:x", code: "forbidden" });
  await publish(gateway, "chat:a", 1);
  await eventually(() => expect(offsets(both, "chat:a")).toEqual([1]));
});

test("a node that drains tells its streams when to come back, and closes them", async () => {
  const gateway = await startGateway({ file, env: { DRAIN_TIMEOUT_MS: "30000" } });
  const { token } = await gateway.signIn("ada");
  const stream = await readEvents(streamUrl(gateway.url, ["chat:a"]), asBearer(token));
  await stream.first("subscribed");

  expect(await gateway.gateway.drain()).toBe(true);

  await stream.ended();
  expect(stream.retryMs).toBe(stream.named("drain")[0].reconnectAfterMs);
  expect(stream.named("closing")).toMatchObject([{ code: "drain", reconnect: true }]);
});

test("a stream that is not read is closed as a slow consumer", async () => {
  const limits = { outboundQueueBytes: 65_536 };
  const gateway = await startGateway({ file: { ...file, limits } });
  const { token } = await gateway.signIn("ada");
  const asked = request(streamUrl(gateway.url, ["chat:a"]), { headers: asBearer(token), agent: false }).end();
  onTestFinished(() => void asked.destroy());
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.pause();

  const data = "x".repeat(60_000);
  await eventually(async () => {
    await Promise.all(
      [1, 2, 3, 4].map(() => gateway.call("POST", "/v1/publish", { channel: "chat:a", event: "e", data })),
    );
    const metrics = await gateway.gateway.metrics.registry.metrics();
    expect(metrics).toMatch(/gateway_closings_total\{code="slow_consumer"[^}]*\} 1/);
  });
});

test("a long poll returns when the channel's state changes, also between two polls", async () => {
  const gateway = await startGateway({ file: { channels: { board: { subscribe: "public", state: true } } } });
  const { token } = await gateway.signIn("ada");
  const set = (value: unknown) =>
    gateway.call("POST", "/v1/channels/board%3A1/state", { changes: [{ key: "title", value }] });
  const poll = async (query: string) => {
    const response = await fetch(`${gateway.url}/v1/channels/board%3A1/poll?${query}`, { headers: asBearer(token) });
    return (await response.json()) as { epoch: string; offset: number; publications: []; snapshot: StateSnapshot };
  };
  const titleIn = ({ snapshot: { revision, entries } }: { snapshot: StateSnapshot }) => [
    revision,
    entries["title"]?.value,
  ];
  await set("one");
  const { epoch, ...begin } = await poll("");
  const at = `epoch=${epoch}&offset=${begin.offset}`;

  const waiting = poll(`${at}&revision=1`);
  await eventually(async () =>
    expect((await gateway.call("GET", "/v1/channels")).body).toMatchObject({ channels: [{ subscribers: 1 }] }),
  );
  await set("two");
  const changed = await waiting;
  await set("three");

  expect(titleIn(begin)).toEqual([1, "one"]);
  expect(titleIn(changed)).toEqual([2, "two"]);
  expect(changed).toMatchObject({ offset: 0, publications: [] });
  expect(titleIn(await poll(`${at}&revision=2`))).toEqual([3, "three"]);
  expect(titleIn(await poll(`${at}&revision=3&waitMs=0`))).toEqual([3, "three"]);
});

test("a long poll returns what comes after a position, waits for the next, and says what is lost", async () => {
  const gateway = await startGateway({ file });
  const { token, sessionId } = await gateway.signIn("ada");
  const poll = async (query: string, headers = asBearer(token)) => {
    const response = await fetch(`${gateway.url}/v1/channels/chat%3Aa/poll?${query}`, { headers });
    return { status: response.status, body: (await response.json()) as any };
  };
  const subscribersAre = (count: number) =>
    eventually(async () =>
      expect((await gateway.call("GET", "/v1/channels?prefix=chat")).body.channels).toEqual(
        count === 0 ? [] : [{ channel: "chat:a", subscribers: count }],
      ),
    );
  const begin = (await poll("")).body;
  expect(begin).toMatchObject({ channel: "chat:a", offset: 0, recovered: false, publications: [] });

  await publish(gateway, "chat:a", 1);
  const missed = (await poll(`epoch=${begin.epoch}&offset=0`)).body;
  await subscribersAre(0);
  const waiting = poll(`epoch=${begin.epoch}&offset=1`, asBearer(apiKey));
  await subscribersAre(1);
  await publish(gateway, "chat:a", 2);

  expect(missed).toMatchObject({ offset: 1, recovered: true, publications: [{ offset: 1, data: { n: 1 } }] });
  expect((await waiting).body).toMatchObject({ offset: 2, recovered: true, publications: [{ offset: 2 }] });
  expect((await poll(`epoch=${begin.epoch}&offset=2&waitMs=0`)).body).toMatchObject({ offset: 2, publications: [] });
  expect((await poll("epoch=lost&offset=1")).body).toMatchObject({ offset: 2, recovered: false, publications: [] });
  expect((await poll("offset=1")).body).toMatchObject({ code: "bad_request" });
  await subscribersAre(0);
  const revoked = poll(`epoch=${begin.epoch}&offset=2`);
  await subscribersAre(1);
  expect((await gateway.call("DELETE", `/v1/sessions/${sessionId}`)).body.disconnected).toBe(1);
  expect(await revoked).toMatchObject({ status: 401, body: { code: "session_expired" } });
});

test("a poll says whether what it asks for is there, and is not told to ask again", async () => {
  const boards = { leaderboards: { daily: {} }, channels: { rank: { subscribe: "role:coach" } } };
  const { url, call, signIn } = await startGateway({ file: boards });
  const coach = (await call("POST", "/v1/sessions", { userId: "eve", roles: ["coach"] })).body.token as string;
  const poll = async (channel: string, secret = apiKey) => {
    const response = await fetch(`${url}/v1/channels/${channel}/poll`, { headers: asBearer(secret) });
    return { status: response.status, body: (await response.json()) as any };
  };
  await call("PUT", "/v1/leaderboards/daily/scores/ada", { score: 7 });

  expect(await poll("order:none")).toMatchObject({ status: 403, body: { code: "forbidden" } });
  expect(await poll("leaderboard:none")).toMatchObject({ status: 404, body: { code: "not_found" } });
  expect(await poll("rank:daily")).toMatchObject({ status: 403, body: { code: "forbidden" } });
  const rank = { board: "daily", member: "ada", rank: 1, score: 7, total: 1 };
  for (const secret of [apiKey, coach, (await signIn("ada")).token])
    expect(await poll("rank:daily:ada", secret)).toMatchObject({ status: 200, body: { snapshot: rank } });
  expect(await poll("rank:daily:ada", (await signIn("bob")).token)).toMatchObject({ status: 403 });
  await call("PUT", "/v1/users/bob/block", {});
  expect(await poll("leaderboard:daily", (await signIn("bob")).token)).toMatchObject({
    body: { code: "user_blocked" },
  });
});
