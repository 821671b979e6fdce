import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/auth/identity.ts";
import type { Revocations } from "../../src/auth/revocations.ts";
import type { GatewayError } from "../../src/protocol/errors.ts";
import { createAuthHandlers } from "../../src/connections/handlers/auth.ts";
import { createSessionHandlers } from "../../src/connections/handlers/sessions.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { claims, forge } from "./forge.ts";
import { authWorld, login } from "./world.ts";

/** A connection nobody listens on: these handlers look at who it is and nothing else. */
const connectionOf = (identity: Identity): Connection => ({
  id: "socket-1",
  userId: identity.userId,
  identity,
  address: "127.0.0.1",
  userAgent: undefined,
  handshake: { headers: {}, auth: {} },
  namespace: "/",
  connectedAt: 0,
  transport: "websocket",
  queuedBytes: 0,
  subscriber: { id: "socket-1", userId: identity.userId },
  isOpen: true,
  emit: () => undefined,
  request: async () => undefined,
  join: () => undefined,
  leave: () => undefined,
  pauseReading: () => undefined,
  resumeReading: () => undefined,
  answer: () => undefined,
  answerFirst: (act) => act(),
  close: () => undefined,
});

/** Clients of one node, each call parsed as the dispatcher does; every session has one live socket. */
async function node() {
  const closed: string[] = [];
  const close = async (id: string) => (closed.push(id), { disconnected: 1, nodes: 1, acknowledged: 1 });
  const revocations: Revocations = {
    revokeSession: close,
    revokeUserSessions: close,
    revokeToken: close,
    revokeTokensBefore: close,
    disconnectUser: close,
    settle: () => close(""),
  };
  const world = await authWorld({ revocations });
  const renewed: Connection[] = [];
  const handlers = [
    ...createAuthHandlers({ ...world.authenticator, tokenRefreshed: (connection) => void renewed.push(connection) }),
    ...createSessionHandlers({ ...world, connectionsOf: async (ids) => new Map(ids.map((id) => [id, 1])) }),
  ];
  const call = async (connection: Connection, event: string, message: unknown): Promise<Record<string, unknown>> => {
    const handler = handlers.find((one) => one.event === event);
    if (handler === undefined) throw new Error(`no handler of ${event}`);
    return (await handler.handle(connection, handler.schema.parse(message))) as Record<string, unknown>;
  };
  const connect = async (token: string) => connectionOf(await world.authenticator.authenticate(token));
  return { world, closed, renewed, call, connect };
}

describe("auth:refresh", () => {
  it("puts the fresh token's identity on the connection and answers its end", async () => {
    const { world, renewed, call, connect } = await node();
    const { session, token } = await login(world);
    const connection = await connect(token);
    const exp = Math.floor(Date.now() / 1_000) + 3_000;
    const fresh = forge({ payload: claims(Date.now(), { sid: session.sessionId, jti: "fresh", exp }) });

    expect(await call(connection, "auth:refresh", { token: fresh })).toEqual({ expiresAt: exp * 1_000 });

    expect(connection.identity).toMatchObject({ tokenId: "fresh", expiresAt: exp * 1_000 });
    expect(renewed).toEqual([connection]);
  });

  it("leaves the connection as it was where the token is another's", async () => {
    const { world, renewed, call, connect } = await node();
    const connection = await connect((await login(world)).token);
    const before = connection.identity;
    const stranger = await login(world, "eve");

    await expect(call(connection, "auth:refresh", { token: stranger.token })).rejects.toMatchObject({
      code: "forbidden",
    });

    expect(connection.identity).toBe(before);
    expect(renewed).toEqual([]);
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["an empty object", {}],
    ["a number", { token: 1 }],
    ["an empty token", { token: "" }],
    ["20 kB", { token: "a".repeat(20_000) }],
    ["something more", { token: "a", more: 1 }],
  ])("has one shape, without %s", async (_, message) => {
    const { world, call, connect } = await node();
    const connection = await connect((await login(world)).token);

    await expect(call(connection, "auth:refresh", message)).rejects.toThrow(/./);
  });
});

describe("sessions:list", () => {
  it("answers the user's own, the current one marked, without what backends keep there", async () => {
    const { world, call, connect } = await node();
    await world.sessions.create({ userId: "ada", data: { secret: "note" }, roles: ["support"] });
    const mine = await login(world);
    await login(world, "eve");
    const connection = await connect(mine.token);

    const { sessions } = await call(connection, "sessions:list", {});

    expect(sessions).toHaveLength(2);
    expect(sessions).toEqual([
      expect.objectContaining({ current: false, connections: 1 }),
      expect.objectContaining({ current: true, sessionId: mine.session.sessionId }),
    ]);
    expect(JSON.stringify(sessions)).not.toMatch(/secret|support|roles/);
  });
});

describe("sessions:revoke", () => {
  it("ends one's own session elsewhere", async () => {
    const { world, closed, call, connect } = await node();
    const connection = await connect((await login(world)).token);
    const elsewhere = await login(world);
    const sessionId = elsewhere.session.sessionId;

    expect(await call(connection, "sessions:revoke", { sessionId })).toEqual({ revoked: 1, disconnected: 1 });
    expect(await call(connection, "sessions:revoke", { sessionId })).toEqual({ revoked: 0, disconnected: 1 });

    expect(closed).toEqual([sessionId, sessionId]);
    expect(await world.sessions.get(sessionId)).toBeUndefined();
  });

  it("ends all others and leaves the one that asks", async () => {
    const { world, closed, call, connect } = await node();
    const mine = await login(world);
    const connection = await connect(mine.token);
    const others = [await login(world), await login(world), await login(world)];
    const stranger = await login(world, "eve");

    expect(await call(connection, "sessions:revoke", { others: true })).toEqual({ revoked: 3, disconnected: 3 });

    expect(closed.toSorted()).toEqual(others.map(({ session }) => session.sessionId).toSorted());
    expect(await world.sessions.get(mine.session.sessionId)).toBeDefined();
    expect(await world.sessions.get(stranger.session.sessionId)).toBeDefined();
  });

  it("answers alike for another's session and for none", async () => {
    const { world, closed, call, connect } = await node();
    const connection = await connect((await login(world)).token);
    const stranger = await login(world, "eve");

    const refusals = await Promise.all(
      [stranger.session.sessionId, `${"a".repeat(16)}.${"b".repeat(22)}`, "made-up", "__proto__"].map((sessionId) =>
        call(connection, "sessions:revoke", { sessionId }).catch((error: GatewayError) => ({
          ...error.toBody(),
          field: error.field,
        })),
      ),
    );

    for (const refusal of refusals) expect(refusal).toEqual(refusals[0]);
    expect(refusals[0]).toMatchObject({ code: "forbidden", field: "sessionId" });
    expect(closed).toEqual([]);
    expect(await world.sessions.get(stranger.session.sessionId)).toBeDefined();
  });

  it.each([{}, { others: false }, { sessionId: "a", others: true }, { sessionId: 1 }, { sessionId: ["a"] }, null])(
    "has two shapes, not %j",
    async (message) => {
      const { world, call, connect } = await node();
      const connection = await connect((await login(world)).token);

      await expect(call(connection, "sessions:revoke", message)).rejects.toThrow(/./);
    },
  );
});
