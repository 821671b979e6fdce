import { describe, expect, test } from "vitest";
import { timed } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/world.ts";
import { openClient, startGateway, told, type Client } from "../support/gateway.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

interface Position {
  epoch: string;
  offset: number;
}

describe.each(["websocket", "polling"] as const)("a stock client over %s", (transport) => {
  const options = { transports: [transport] };

  test("is told who and where it is, subscribes, publishes and reads history", async () => {
    const { connect, signIn, call } = await startGateway({ env: { NODE_ID: "n1" } });
    const { token, sessionId, expiresAt } = await signIn("ada");

    const client = await connect(token, options);
    expect(client.ready).toMatchObject({ nodeId: "n1", userId: "ada", sessionId, expiresAt, recovered: false });

    const subscribed = await client.emitWithAck("subscribe", { channel: "chat:lobby" });
    expect(subscribed).toEqual({
      ok: true,
      channel: "chat:lobby",
      epoch: expect.any(String),
      offset: 0,
      recovered: false,
      publications: [],
    });
    const { epoch } = subscribed as Position;

    await call("POST", "/v1/publish", { channel: "chat:lobby", event: "said", data: { n: 1 } });
    const published = await client.emitWithAck("publish", { channel: "chat:lobby", event: "said", data: { n: 2 } });
    expect(published).toEqual({ ok: true, channel: "chat:lobby", epoch, offset: 2, duplicate: false });
    await eventually(() => expect(told(client, "publication")).toHaveLength(2));
    expect(told(client, "publication")[0]).toEqual({
      channel: "chat:lobby",
      epoch,
      offset: 1,
      event: "said",
      data: { n: 1 },
      publishedAt: expect.any(Number),
    });

    const history = await client.emitWithAck("history", { channel: "chat:lobby", since: { epoch, offset: 1 } });
    expect(history).toMatchObject({ ok: true, offset: 2, publications: [{ offset: 2, data: { n: 2 } }] });
  });

  test("reads what is sent to its user from the connection on", async () => {
    const { connect, signIn, call } = await startGateway();
    const client = await connect((await signIn("ada")).token, options);

    await call("POST", "/v1/publish", { channel: "user:ada", event: "hello", data: null });

    await eventually(() =>
      expect(told(client, "publication")).toMatchObject([{ channel: "user:ada", event: "hello", data: null }]),
    );
  });

  test("stops reading when it unsubscribes", async () => {
    const { connect, signIn, call } = await startGateway();
    const client = await connect((await signIn("ada")).token, options);
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    await client.emitWithAck("subscribe", { channel: "chat:b" });

    expect(await client.emitWithAck("unsubscribe", { channel: "chat:a" })).toEqual({ ok: true, channel: "chat:a" });
    expect(await client.emitWithAck("unsubscribe", { channel: "chat:a" })).toMatchObject({
      ok: false,
      error: { code: "not_subscribed" },
    });
    for (const channel of ["chat:a", "chat:b"]) await call("POST", "/v1/publish", { channel, event: "said", data: 1 });

    await eventually(() => expect(told(client, "publication")).toMatchObject([{ channel: "chat:b" }]));
  });

  test("recovers by position exactly, over many random cuts", { timeout: 400_000 }, async () => {
    const cuts = Number(process.env.CUTS ?? (transport === "websocket" ? 400 : 100));
    const limits = {
      messages: { capacity: 100_000, refillPerSecond: 100_000 },
      handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
    };
    const channels = { chat: { subscribe: "public", publish: "public", history: { size: 10_000, ttlSeconds: 60 } } };
    const { url, call, signIn } = await startGateway({ file: { limits, channels } });
    const { token } = await signIn("ada");
    const random = seeded(7);
    let published = 0;
    let isDone = false;
    const publishing = (async () => {
      while (!isDone) {
        const publications = range(1, 1 + Math.floor(random() * 5)).map(() => ({
          channel: "chat:lobby",
          event: "said",
          data: ++published,
        }));
        await call("POST", "/v1/publish/batch", { publications });
      }
    })();

    const seen: number[] = [];
    let position: Position | undefined;
    for (let cut = 0; cut < cuts; cut++) {
      const client = openClient(url, token, options);
      const answer = await subscribed(client, position);
      if (position === undefined) expect(answer.offset).toBe(answer.publications.at(-1)?.offset ?? answer.offset);
      else expect(answer.recovered).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, random() * 5));
      client.io.engine.close();
      const live = told<Position & { data: number }>(client, "publication").filter(
        ({ offset }) => offset > answer.offset,
      );
      seen.push(...answer.publications.map(({ offset }) => offset), ...live.map(({ offset }) => offset));
      const last = live.at(-1) ?? answer;
      position = { epoch: answer.epoch, offset: last.offset };
    }
    isDone = true;
    await publishing;

    expect(seen).toEqual(range(seen[0] as number, seen.at(-1) as number));
    expect(seen.length).toBeGreaterThan(cuts);
  });
});

interface Subscribed extends Position {
  recovered: boolean;
  publications: Position[];
}

async function subscribed(client: Client, since: Position | undefined): Promise<Subscribed> {
  await new Promise<void>((resolve, reject) => client.once("connect", resolve).once("connect_error", reject));
  const answer = await client.emitWithAck("subscribe", {
    channel: "chat:lobby",
    ...(since === undefined ? {} : { since }),
  });
  if (answer.ok !== true) throw new Error(JSON.stringify(answer));
  return answer as Subscribed;
}

describe("what a client may not do is refused by name", () => {
  test.each([
    ["subscribe", { channel: "user:bob" }, "forbidden"],
    ["subscribe", { channel: "order:1" }, "forbidden"],
    ["subscribe", { channel: "nope:1" }, "unknown_channel"],
    ["subscribe", {}, "bad_request"],
    ["subscribe", { channel: "chat:\u0000" }, "bad_request"],
    ["subscribe", { channel: "chat:*" }, "bad_request"],
    ["unsubscribe", { channel: "chat:*" }, "bad_request"],
    ["publish", { channel: "*", event: "said", data: 1 }, "bad_request"],
    ["history", { channel: "ch*t:a" }, "bad_request"],
    ["presence", { channel: "chat:*" }, "bad_request"],
    ["subscribe", { channel: "chat:a", since: { epoch: 1, offset: -1 } }, "bad_request"],
    ["publish", { channel: "news:today", event: "said", data: 1 }, "forbidden"],
    ["publish", { channel: "chat:a", event: "said" }, "bad_request"],
    ["publish", { channel: "nope:a", event: "said", data: 1 }, "unknown_channel"],
    ["history", { channel: "user:bob" }, "forbidden"],
    ["unsubscribe", { channel: "chat:a" }, "not_subscribed"],
    ["sessions:revoke", { sessionId: "another" }, "forbidden"],
    ["auth:refresh", { token: "x" }, "unauthorized"],
    ["nonsense", {}, "unknown_event"],
  ])("%s %j: %s", async (event, argument, code) => {
    const { connect, signIn } = await startGateway();
    const client = await connect((await signIn("ada")).token);

    expect(await client.emitWithAck(event, argument)).toMatchObject({
      ok: false,
      error: { code, message: expect.any(String) },
    });
  });
});

describe("a login's end", () => {
  test("a revoked session closes its sockets and no other, and does not come back", async () => {
    const { connect, signIn, call } = await startGateway();
    const [first, second] = [await signIn("ada"), await signIn("ada")];
    const [gone, stays] = [await connect(first.token), await connect(second.token)];

    const { body } = await call("DELETE", `/v1/sessions/${first.sessionId}`);

    expect(body).toMatchObject({ disconnected: 1, nodes: 1, acknowledged: 1 });
    await eventually(() => expect(gone.connected).toBe(false));
    expect(told(gone, "closing")).toMatchObject([{ code: "session_revoked", reconnect: false }]);
    expect(stays.connected).toBe(true);
    await expect(connect(first.token)).rejects.toMatchObject({
      message: "session_expired",
      data: { code: "session_expired" },
    });
  });

  test("a revoked token closes its sockets and does not come back, while the session's next token does", async () => {
    const { connect, signIn, call } = await startGateway();
    const { token, sessionId } = await signIn("ada");
    const client = await connect(token);

    expect((await call("POST", "/v1/tokens/revoke", { token })).body).toMatchObject({
      disconnected: 1,
      nodes: 1,
      acknowledged: 1,
    });

    await eventually(() => expect(told(client, "closing")).toMatchObject([{ code: "token_revoked" }]));
    await expect(connect(token)).rejects.toMatchObject({ message: "token_revoked" });
    const fresh = (await call("POST", `/v1/sessions/${sessionId}/token`)).body.token as string;
    await expect(connect(fresh)).resolves.toBeDefined();
  });

  test("a token that runs out is announced, then closes the connection, unless a fresh one comes", timed, async () => {
    const { connect, signIn, call } = await startGateway({ file: { tokens: { tokenTtlSeconds: 3 } } });
    const { token } = await signIn("ada");
    const { token: other, sessionId } = await signIn("bob");
    const [lapsing, renewing] = [await connect(token), await connect(other)];
    renewing.on("auth:expiring", async () => {
      const fresh = (await call("POST", `/v1/sessions/${sessionId}/token`)).body.token as string;
      await renewing.emitWithAck("auth:refresh", { token: fresh });
    });

    await eventually(() => expect(told(lapsing, "closing")).toMatchObject([{ code: "token_expired" }]));

    expect(told(lapsing, "auth:expiring")).toHaveLength(1);
    expect(renewing.connected).toBe(true);
  });

  test("logging out everywhere closes all of a user's sockets", async () => {
    const { connect, signIn, call } = await startGateway();
    const clients = await Promise.all([1, 2, 3].map(async () => connect((await signIn("ada")).token)));
    const other = await connect((await signIn("bob")).token);

    expect((await call("DELETE", "/v1/users/ada/sessions")).body).toMatchObject({
      disconnected: 3,
      nodes: 1,
      acknowledged: 1,
    });

    await eventually(() => expect(clients.some(({ connected }) => connected)).toBe(false));
    expect(other.connected).toBe(true);
  });

  test("a session revoked while its handshake is under way leaves no socket behind", async () => {
    const { url, signIn, call } = await startGateway();
    for (let round = 0; round < 30; round++) {
      const { token, sessionId } = await signIn("ada");
      const client = openClient(url, token);
      await new Promise((resolve) => setTimeout(resolve, round % 10));
      await call("DELETE", `/v1/sessions/${sessionId}`);
      await eventually(() => expect(client.connected || client.active).toBe(false));
    }
  });
});

test("is told ready before any publication, also while its own channel is busy", async () => {
  const gateway = await startGateway();
  const { token } = await gateway.signIn("ada");
  let isDone = false;
  const publishing = Array.from({ length: 4 }, async () => {
    while (!isDone) await gateway.call("POST", "/v1/publish", { channel: "user:ada", event: "tick", data: 1 });
  });

  const clients: Client[] = [];
  for (let i = 0; i < 12; i += 1) {
    const client = await gateway.connect(token);
    await eventually(() => expect(told(client, "publication").length).toBeGreaterThan(1));
    client.disconnect();
    clients.push(client);
  }
  isDone = true;
  await Promise.all(publishing);

  for (const client of clients) {
    expect(client.events[0]?.[0]).toBe("ready");
    const offsets = told(client, "publication").map(({ offset }) => offset as number);
    expect(offsets).toEqual(offsets.map((_, index) => (offsets[0] as number) + index));
  }
});
