import { expect, it } from "vitest";
import { openClient, startGateway, told } from "../support/gateway.ts";
import { promised, timed, within } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import { claims, forge, secret } from "./forge.ts";

const node = () => startGateway({ env: { JWT_SECRET: secret } });

it("a connection is told of its session's end, and closed within a second of it", timed, async () => {
  const { signIn, connect } = await node();
  const { token, expiresAt } = await signIn("ada", { ttlSeconds: 3 });
  const client = await connect(token);

  const closedAt = await new Promise<number>((resolve) => client.on("disconnect", () => resolve(Date.now())));

  expect(told(client, "auth:expiring")).toEqual([{ expiresAt }]);
  expect(told(client, "closing")).toMatchObject([{ code: "session_expired", reconnect: false }]);
  expect(closedAt).toBeGreaterThanOrEqual(expiresAt);
  expect(closedAt - expiresAt).toBeLessThan(promised(1_000));
});

it("a connection that brings a fresh token in time lives on", async () => {
  const { signIn, connect, call } = await node();
  const { sessionId } = await signIn("ada");
  const { client, end } = await within(3_000, async () => {
    const exp = Math.ceil(Date.now() / 1_000) + 3;
    const brief = await connect(forge({ payload: claims(Date.now(), { sid: sessionId, exp, jti: "first" }) }));
    const fresh = (await call("POST", `/v1/sessions/${sessionId}/token`)).body as { token: string; expiresAt: number };

    expect(await brief.timeout(20_000).emitWithAck("auth:refresh", { token: fresh.token })).toEqual({
      ok: true,
      expiresAt: fresh.expiresAt,
    });
    return { client: brief, end: exp };
  });

  await eventually(() => expect(Date.now()).toBeGreaterThan(end * 1_000 + 300));
  expect(client.connected).toBe(true);
  expect(told(client, "closing")).toEqual([]);
});

it("a fresh token that grants less takes away what it does not grant, by name, and nothing else", async () => {
  const channels = { club: { subscribe: "granted", publish: "none" }, chat: { subscribe: "public", publish: "none" } };
  const { signIn, connect, call } = await startGateway({ env: { JWT_SECRET: secret }, file: { channels } });
  const { sessionId } = await signIn("ada");
  const tokenFor = (jti: string, subscribe: string[]) =>
    forge({ payload: claims(Date.now(), { sid: sessionId, jti, channels: { subscribe } }) });
  const client = await connect(tokenFor("first", ["club:*"]));
  const subscribe = (channel: string) => client.emitWithAck("subscribe", { channel });
  for (const channel of ["club:a", "club:b", "chat:lobby", "leaderboard:b"]) await subscribe(channel);

  const late = subscribe("club:late");
  const refreshed = client.emitWithAck("auth:refresh", { token: tokenFor("second", ["club:b"]) });

  expect(await refreshed).toMatchObject({ ok: true });
  // The one that came with the refresh was either let in and taken away, or refused.
  await late;
  await eventually(() => expect(told(client, "unsubscribed").map(({ channel }) => channel)).toContain("club:a"));
  const lost = { channel: "club:a", code: "forbidden", message: expect.any(String) };
  expect(told(client, "unsubscribed")).toContainEqual(lost);
  for (const channel of ["club:a", "club:late", "club:b", "chat:lobby"]) {
    await call("POST", "/v1/publish", { channel, event: "said", data: 1 });
  }
  await eventually(() =>
    expect(
      told(client, "publication")
        .map(({ channel }) => String(channel))
        .toSorted(),
    ).toEqual(["chat:lobby", "club:b"]),
  );
  expect(await subscribe("club:a")).toMatchObject({ ok: false, error: { code: "forbidden" } });
});

it("logging out in one tab ends all of the session's sockets and none of another's", async () => {
  const { signIn, connect } = await node();
  const [desk, phone] = [await signIn("ada"), await signIn("ada")];
  const tabs = [await connect(desk.token), await connect(desk.token)];
  const other = await connect(phone.token);

  const { sessions } = await other.emitWithAck("sessions:list", {});
  const answer = await other.emitWithAck("sessions:revoke", { sessionId: desk.sessionId });

  expect(sessions).toMatchObject([
    { sessionId: desk.sessionId, connections: 2, current: false },
    { sessionId: phone.sessionId, connections: 1, current: true },
  ]);
  expect(answer).toEqual({ ok: true, revoked: 1, disconnected: 2 });
  await eventually(() => expect(tabs.map((tab) => tab.connected)).toEqual([false, false]));
  for (const tab of tabs) expect(told(tab, "closing")).toMatchObject([{ code: "session_revoked" }]);
  expect(other.connected).toBe(true);
});

it.each(["websocket", "polling"] as const)(
  "who logs out here is answered first, and closed (%s)",
  async (transport) => {
    const { signIn, connect, call } = await node();
    const { sessionId, token } = await signIn("ada");
    const [here, tab] = [await connect(token, { transports: [transport] }), await connect(token)];
    await here.emitWithAck("subscribe", { channel: "chat:lobby" });

    const answer = await here.emitWithAck("sessions:revoke", { sessionId });
    await call("POST", "/v1/publish", { channel: "chat:lobby", event: "said", data: 1 });

    expect(answer).toEqual({ ok: true, revoked: 1, disconnected: 2 });
    await eventually(() => expect([here.connected, tab.connected]).toEqual([false, false]));
    for (const client of [here, tab]) expect(told(client, "closing")).toMatchObject([{ code: "session_revoked" }]);
    expect(told(here, "publication")).toEqual([]);
  },
);

it("a client that was disconnected cannot reconnect, and learns why", async () => {
  const { url, signIn, call } = await node();
  const [ended, revoked, other] = [await signIn("ada"), await signIn("ada"), await signIn("eve")];
  await call("DELETE", `/v1/sessions/${ended.sessionId}`);
  await call("POST", "/v1/tokens/revoke", { token: revoked.token });
  const refusal = (token: string): Promise<unknown> =>
    new Promise((resolve) => {
      const client = openClient(url, token);
      client.on("connect_error", (error) => resolve((error as Error & { data: { code: string } }).data.code));
      client.on("connect", () => resolve("accepted"));
    });
  const stolen = claims(Date.now(), { sub: "mallory", sid: other.sessionId });

  expect(await refusal(ended.token)).toBe("session_expired");
  expect(await refusal(revoked.token)).toBe("token_revoked");
  expect(await refusal(forge({ payload: stolen }))).toBe("unauthorized");
  expect(await refusal(forge({ payload: claims(Date.now() - 3_600_000, { sid: other.sessionId }) }))).toBe(
    "token_expired",
  );
  expect(await refusal(other.token)).toBe("accepted");
});

it("a token revoked at the very moment it is brought for a refresh leaves nobody connected with it", async () => {
  const { signIn, connect, call } = await node();
  const { sessionId, token } = await signIn("ada");

  for (let round = 0; round < 40; round += 1) {
    const client = await connect(token);
    const jti = `fresh-${round}`;
    const fresh = forge({ payload: claims(Date.now(), { sid: sessionId, jti }) });
    // The socket may be closed before the answer was sent: then there is none.
    const isRefreshed = client
      .timeout(20_000)
      .emitWithAck("auth:refresh", { token: fresh })
      .then(
        ({ ok }: { ok: boolean }) => ok,
        () => false,
      );
    await call("POST", "/v1/tokens/revoke", { jti, expiresAt: Date.now() + 600_000 });

    if (await isRefreshed) await eventually(() => expect(client.connected).toBe(false));
    expect(told(client, "closing").every((closing) => (closing as { code: string }).code === "token_revoked")).toBe(
      true,
    );
    client.disconnect();
  }
});
