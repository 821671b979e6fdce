import { describe, expect, test } from "vitest";
import { createExpiryWatch } from "../../src/auth/expiry-watch.ts";
import { createFence } from "../../src/cluster/fence.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createConnectionHooks, type ConnectionHooksDeps } from "../../src/connections/connection-hooks.ts";
import { client as ownClient } from "../client/support.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { openClient, startGateway, told, type Client, type TestGateway } from "../support/gateway.ts";
import { seeded } from "../support/random.ts";
import { eventually, quietLog } from "../support/world.ts";

const file = {
  limits: { handshakes: { capacity: 10_000, refillPerSecond: 10_000 } },
  channels: { chat: { subscribe: "public", publish: "public", presence: true } },
};
const trials = 40;

interface Asked {
  event: string;
  argument: object;
  answer: Promise<Answer>;
}

interface Answer {
  ok: boolean;
  error?: { code: string };
}

/** A connection that was closed meanwhile is an answer too. */
const ask = (client: Client, event: string, argument: object): Promise<Answer> =>
  client.emitWithAck(event, argument).catch(({ message }: Error) => ({ ok: false, error: { code: message } }));

/** What a page may ask in its `connect` handler, each of which meets something that the server does at the same time. */
function requestsOf(userId: string, fresh: string): [string, object][] {
  const own = { channel: `user:${userId}` };
  return [
    ["subscribe", own],
    ["subscribe", own],
    ["unsubscribe", own],
    ["unsubscribe", own],
    ["history", own],
    ["subscribe", { channel: "chat:lobby" }],
    ["unsubscribe", { channel: "chat:lobby" }],
    ["presence", { channel: "chat:lobby" }],
    ["auth:refresh", { token: fresh }],
    ["sessions:list", {}],
    ["sessions:revoke", { others: true }],
  ];
}

/** Asks for up to five things at once, in the `connect` handler. */
async function askAtOnce(client: Client, requests: [string, object][], random: () => number): Promise<Asked[]> {
  const pick = (): [string, object] => requests[Math.floor(random() * requests.length)]!;
  const picked = Array.from({ length: 1 + Math.floor(random() * 5) }, pick);
  return new Promise((resolve) => {
    client.once("connect", () =>
      resolve(picked.map(([event, argument]) => ({ event, argument, answer: ask(client, event, argument) }))),
    );
  });
}

/** Checks the answers about the user's own channel, which begins subscribed; true if it is subscribed at the end. */
async function endsSubscribed(asked: readonly Asked[], own: string): Promise<boolean> {
  let isSubscribed = true;
  for (const { event, argument, answer } of asked) {
    const { ok, error } = await answer;
    if ((argument as { channel?: string }).channel !== own) continue;
    const isRefused = event === "unsubscribe" && !isSubscribed;
    expect({ event, ok, code: error?.code }).toEqual({
      event,
      ok: !isRefused,
      code: isRefused ? "not_subscribed" : undefined,
    });
    if (event === "subscribe") isSubscribed = true;
    if (event === "unsubscribe") isSubscribed = false;
  }
  return isSubscribed;
}

async function tryOnce(gateway: TestGateway, transport: "websocket" | "polling", number: number): Promise<void> {
  const random = seeded(number);
  const userId = `${transport}-${number}`;
  const { token, sessionId } = await gateway.signIn(userId);
  const fresh = (await gateway.call("POST", `/v1/sessions/${sessionId}/token`)).body as { token: string };
  const client = openClient(gateway.url, token, { transports: [transport] });
  const asked = await askAtOnce(client, requestsOf(userId, fresh.token), random);
  const isSubscribed = await endsSubscribed(asked, `user:${userId}`);
  await eventually(() => expect(told(client, "ready")).toHaveLength(1));
  await gateway.call("POST", "/v1/publish", { channel: `user:${userId}`, event: "hello", data: 1 });
  if (isSubscribed) await eventually(() => expect(told(client, "publication")).toHaveLength(1));
  await client.emitWithAck("sessions:list", {});
  expect({ userId, heard: told(client, "publication").length }).toEqual({ userId, heard: isSubscribed ? 1 : 0 });
  expect(told(client, "closing")).toEqual([]);
  expect(client.connected).toBe(true);
}

describe.each(["websocket", "polling"] as const)("over %s", (transport) => {
  test("requests sent in the connect handler are answered in order, and the client stays connected", async () => {
    const gateway = await startGateway({ file });

    await Promise.all(Array.from({ length: trials }, (_, number) => tryOnce(gateway, transport, number)));
  });

  test("a client that revokes its own session in the connect handler is answered, then closed with session_revoked", async () => {
    const { signIn, url } = await startGateway({ file });

    await Promise.all(
      Array.from({ length: 10 }, async (_, number) => {
        const { token, sessionId } = await signIn(`ada-${number}`);
        const client = openClient(url, token, { transports: [transport] });
        await new Promise<void>((resolve) => client.once("connect", () => resolve()));
        const answers = await Promise.all([
          client.emitWithAck("sessions:revoke", { sessionId }),
          new Promise((resolve) => client.once("closing", resolve)),
        ]);
        expect(answers).toMatchObject([{ ok: true, revoked: 1 }, { code: "session_revoked" }]);
      }),
    );
  });

  test("a client that recovers and unsubscribes from its own channel at once stays connected", async () => {
    const { signIn, url } = await startGateway({ file });

    await Promise.all(
      Array.from({ length: 10 }, async (_, number) => {
        const channel = `user:ada-${number}`;
        const options = { transports: [transport], reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 10 };
        const client = openClient(url, (await signIn(`ada-${number}`)).token, options);
        await eventually(() => expect(told(client, "ready")).toHaveLength(1));
        const back = new Promise<void>((resolve) => client.once("connect", () => resolve()));
        client.io.engine.close();
        await back;
        expect(await client.emitWithAck("unsubscribe", { channel })).toMatchObject({ ok: true });
        await eventually(() => expect(told(client, "ready")).toHaveLength(2));
        expect({ recovered: client.recovered, closing: told(client, "closing") }).toEqual({
          recovered: true,
          closing: [],
        });
      }),
    );
  });

  test("the client library may subscribe to its own channel first", async () => {
    const { signIn, url, call } = await startGateway({ file });

    await Promise.all(
      Array.from({ length: 10 }, async (_, number) => {
        const channel = `user:ada-${number}`;
        const reader = ownClient(url, {
          token: (await signIn(`ada-${number}`)).token,
          socket: { transports: [transport] },
        });
        const seen: unknown[] = [];
        const cuts: unknown[] = [];
        reader.socket.on("disconnect", (reason) => cuts.push(reason));
        reader.channel(channel).on("publication", ({ data }) => seen.push(data));
        await reader.channel(channel).subscribe();
        await call("POST", "/v1/publish", { channel, event: "hello", data: number });
        await eventually(() => expect(seen).toEqual([number]));
        expect(cuts).toEqual([]);
      }),
    );
  });
});

test("a token refreshed while the connect hook waits for the fence determines the expiry", async () => {
  const clock = new FakeClock();
  const fence = createFence(clock, 3_000);
  const expiry = createExpiryWatch({ clock, log: quietLog });
  const revocations = { mark: () => 0, since: () => undefined };
  const rights = {
    mark: () => 0,
    applySince: async () => undefined,
    onChanged: () => undefined,
    recheck: async () => undefined,
  };
  const channels = {
    hold: () => () => undefined,
    subscribeUnchecked: async () => undefined,
    channelsOf: () => [],
    recheckPermissions: async () => undefined,
  };
  const recovery = { persist: async () => undefined };
  const deps = { clock, fence, expiry, revocations, rights, channels, recovery, isDraining: () => false };
  const hooks = createConnectionHooks(deps as unknown as ConnectionHooksDeps);
  const until = (expiresAt: number) => ({ userId: "ada", issuedAt: clock.now(), expiresAt, expiresBy: "token" });
  const [old, fresh] = [until(clock.now() + 10_000), until(clock.now() + 60_000)];
  const heard: unknown[] = [];
  const connection = {
    identity: old,
    isOpen: true,
    emit: (event: string, { expiresAt }: { expiresAt: number }) => heard.push([event, expiresAt]),
    close: ({ code }: { code: string }) => heard.push([code, clock.now()]),
  };
  const client = connection as unknown as Connection;

  const begun = hooks.connected(client, { privateId: undefined, restored: undefined });
  connection.identity = fresh;
  hooks.tokenRefreshed(client);
  fence.renew(clock.monotonic());
  await begun;
  await clock.advance(60_100);

  expect(heard).toEqual([
    ["auth:expiring", fresh.expiresAt],
    ["token_expired", fresh.expiresAt],
  ]);
});
