import { describe, expect, it } from "vitest";
import type { z } from "zod";
import type { Disconnection, Revocations } from "../../src/auth/revocations.ts";
import { createTokens } from "../../src/auth/tokens.ts";
import { createSessionRoutes } from "../../src/http/routes/sessions.ts";
import { createTokenRoutes } from "../../src/http/routes/tokens.ts";
import type { RouteAnswer } from "../../src/http/route.ts";
import { keyPair } from "./forge.ts";
import { authWorld, login, type AuthWorldOptions } from "./world.ts";

const closed: Disconnection = { disconnected: 1, nodes: 3, acknowledged: 3 };

/** The routes as a server mounts them: schemas first, then the handler, then the answer against its schema. */
async function backend(options: AuthWorldOptions = {}) {
  const asked: unknown[][] = [];
  const note = async (...call: unknown[]): Promise<Disconnection> => (asked.push(call), closed);
  const revocations: Revocations = {
    revokeSession: (...call) => note("session", ...call),
    revokeUserSessions: (...call) => note("user", ...call),
    revokeToken: (...call) => note("token", ...call),
    revokeTokensBefore: (...call) => note("tokens before", ...call),
    disconnectUser: (...call) => note("disconnect", ...call),
    settle: () => note("settle"),
  };
  const world = await authWorld({ revocations, ...options });
  const connectionsOf = async (ids: readonly string[]) => new Map(ids.slice(0, 1).map((id) => [id, 2]));
  const sessionRoutes = (tokens = world.tokens) => createSessionRoutes({ ...world, tokens, connectionsOf });
  const routes = [...sessionRoutes(), ...createTokenRoutes({ logouts: world.logouts, revocations })];

  async function call(operationId: string, { params, body }: { params?: unknown; body?: unknown } = {}, all = routes) {
    const found = all.find((route) => route.operationId === operationId);
    if (found === undefined) throw new Error(`no route ${operationId}`);
    const parse = (schema: z.ZodType | undefined, value: unknown) => schema?.parse(value);
    const answer: RouteAnswer = await found.handle({
      params: parse(found.params, params),
      query: undefined,
      body: parse(found.body, body),
      apiKey: "test",
      idempotencyKey: undefined,
      address: "127.0.0.1",
      requestId: "r-1",
      isSecure: false,
      door: "http",
    });
    found.answer.parse(answer.body);
    return { status: answer.status ?? found.status ?? 200, body: answer.body as Record<string, unknown> };
  }
  return { world, asked, routes, call, sessionRoutes };
}

/** Paths of the issues a schema raises, or that it raises none. */
function mistakesOf(run: Promise<unknown>): Promise<unknown> {
  return run.then(
    () => "accepted",
    (error: z.ZodError) => error.issues.map((issue) => issue.path.join(".") || issue.message),
  );
}

it("the calls are those of the contract", async () => {
  const { routes } = await backend();

  expect(routes.map(({ method, path, status = 200 }) => `${method} ${path} ${status}`).toSorted()).toEqual([
    "delete /v1/sessions/{sessionId} 200",
    "delete /v1/users/{userId}/sessions 200",
    "get /v1/users/{userId}/sessions 200",
    "post /v1/sessions 201",
    "post /v1/sessions/{sessionId}/ticket 201",
    "post /v1/sessions/{sessionId}/token 201",
    "post /v1/tokens/revoke 200",
    "post /v1/users/{userId}/disconnect 200",
  ]);
});

describe("POST /v1/sessions", () => {
  it("begins a session and answers a token that lets its user in", async () => {
    const { world, call } = await backend();
    const channels = { subscribe: ["news:*"] };

    const { status, body } = await call("createSession", { body: { userId: "ada", roles: ["support"], channels } });

    expect(status).toBe(201);
    expect(Object.keys(body).toSorted()).toEqual(["expiresAt", "sessionId", "token"]);
    expect(await world.authenticator.authenticate(body.token)).toMatchObject({
      userId: "ada",
      sessionId: body.sessionId,
      expiresAt: body.expiresAt,
      roles: ["support"],
      channels: { subscribe: ["news:*"], publish: [] },
    });
  });

  it("answers a token that ends with a short session", async () => {
    const { world, call } = await backend();

    const { body } = await call("createSession", { body: { userId: "ada", ttlSeconds: 60 } });

    const session = await world.sessions.get(body.sessionId as string);
    expect(body.expiresAt).toBe(session?.expiresAt);
  });

  it("answers token null, and the session's end, where the gateway holds no signing key", async () => {
    const { world, call, sessionRoutes } = await backend();
    const source = { type: "public-key", pem: keyPair("ES256").pem } as const;
    const unable = sessionRoutes(createTokens({ source }, { clock: world.clock }));

    const { body } = await call("createSession", { body: { userId: "ada" } }, unable);
    const again = await call("issueToken", { params: { sessionId: body.sessionId } }, unable);

    const session = await world.sessions.get(body.sessionId as string);
    expect(body).toEqual({ sessionId: session?.sessionId, token: null, expiresAt: session?.expiresAt });
    expect(again.body).toEqual({ token: null, expiresAt: session?.expiresAt });
  });

  it("closes the connections of the session it evicts", async () => {
    const { call, asked } = await backend({ sessions: { maxSessionsPerUser: 1 } });

    const first = await call("createSession", { body: { userId: "ada" } });
    await call("createSession", { body: { userId: "ada" } });

    expect(asked).toEqual([["session", first.body.sessionId, "ada"]]);
  });

  it.each<[string, Record<string, unknown>, unknown]>([
    ["no user", { userId: undefined }, ["userId"]],
    ["an empty user", { userId: "" }, ["userId"]],
    ["a user with a NUL", { userId: "a\u0000" }, ["userId"]],
    ["roles that are no list", { roles: "admin" }, ["roles"]],
    ["65 roles", { roles: Array.from({ length: 65 }, (_, i) => `${i}`) }, ["roles"]],
    ["a role that is no name", { roles: ["user", ""] }, ["roles.1"]],
    ["a grant that is no name", { channels: { publish: ["a", 1] } }, ["channels.publish.1"]],
    ["a pattern with a * in the middle", { channels: { publish: ["news:*:today"] } }, ["channels.publish.0"]],
    ["too many grants for a token", { channels: { subscribe: Array(64).fill("x".repeat(100)) } }, ["channels"]],
    ["data that is no object", { data: [1] }, ["data"]],
    ["data of more than 4 kB", { data: { text: "x".repeat(4_097) } }, ["data"]],
    ["data of more than 4 kB in few letters", { data: { text: "漢".repeat(1_400) } }, ["data"]],
    ["a life of 0", { ttlSeconds: 0 }, ["ttlSeconds"]],
    ["a life of half a second", { ttlSeconds: 0.5 }, ["ttlSeconds"]],
    ["a life of a thousand years", { ttlSeconds: 31_536_000_000 }, ["ttlSeconds"]],
  ])("names what is wrong: %s", async (_, wrong, paths) => {
    const { call } = await backend();

    expect(await mistakesOf(call("createSession", { body: { userId: "ada", ...wrong } }))).toEqual(paths);
  });
});

describe("POST /v1/sessions/{sessionId}/token", () => {
  it("answers a fresh token of a live session", async () => {
    const { world, call } = await backend();
    const { session, token } = await login(world);

    const { status, body } = await call("issueToken", { params: { sessionId: session.sessionId } });

    expect(status).toBe(201);
    expect(body.token).not.toBe(token);
    expect(await world.authenticator.authenticate(body.token)).toMatchObject({ sessionId: session.sessionId });
  });

  it("knows no session that has ended or never was", async () => {
    const { world, call } = await backend();
    const { session } = await login(world);
    await world.sessions.end(session.sessionId);

    for (const sessionId of [session.sessionId, "made-up"]) {
      await expect(call("issueToken", { params: { sessionId } })).rejects.toMatchObject({ code: "not_found" });
    }
  });
});

it("GET /v1/users/{userId}/sessions lists them with their connections", async () => {
  const { world, call } = await backend();
  const { session } = await world.sessions.create({ userId: "ada", roles: ["a"], data: { device: "tv" } });
  const second = await login(world);
  await login(world, "eve");
  await world.sessions.touch(second.session.sessionId, { lastSeenAt: undefined, userAgent: "browser" });

  const { body } = await call("listUserSessions", { params: { userId: "ada" } });

  const { createdAt, expiresAt } = session;
  expect(body.sessions).toEqual([
    {
      userId: "ada",
      sessionId: session.sessionId,
      createdAt,
      lastSeenAt: createdAt,
      expiresAt,
      roles: ["a"],
      channels: { subscribe: [], publish: [] },
      data: { device: "tv" },
      connections: 2,
    },
    expect.objectContaining({ sessionId: second.session.sessionId, userAgent: "browser", connections: 0 }),
  ]);
  expect((await call("listUserSessions", { params: { userId: "nobody" } })).body).toEqual({ sessions: [] });
});

it("DELETE of a session, and of all of a user, answers what was ended and closed", async () => {
  const { world, call, asked } = await backend();
  const { session } = await login(world);
  await login(world);
  await login(world);

  const one = await call("endSession", { params: { sessionId: session.sessionId } });
  const rest = await call("endUserSessions", { params: { userId: "ada" } });

  expect(one.body).toEqual({ revoked: 1, ...closed });
  expect(rest.body).toEqual({ revoked: 2, ...closed });
  expect(asked).toEqual([
    ["session", session.sessionId, "ada"],
    ["user", "ada"],
  ]);
});

describe("POST /v1/tokens/revoke", () => {
  it("takes a token, or its id and end", async () => {
    const { world, call } = await backend();
    const [one, two] = [await login(world), await login(world)];

    const byToken = await call("revokeToken", { body: { token: one.token } });
    const byId = await call("revokeToken", { body: { jti: two.tokenId, expiresAt: two.expiresAt } });

    expect([byToken.body, byId.body]).toEqual([
      { revoked: 1, ...closed },
      { revoked: 1, ...closed },
    ]);
    for (const { token } of [one, two]) {
      await expect(world.authenticator.authenticate(token)).rejects.toMatchObject({ code: "token_revoked" });
    }
  });

  it.each<[string, unknown, unknown]>([
    ["nothing", {}, ["must contain token, or jti and expiresAt, or userId and issuedBefore"]],
    ["an id without its end", { jti: "a" }, ["must contain token, or jti and expiresAt, or userId and issuedBefore"]],
    [
      "an end without an id",
      { expiresAt: 1_800_000_000_000 },
      ["must contain token, or jti and expiresAt, or userId and issuedBefore"],
    ],
    ["both kinds", { token: "a", jti: "b" }, ["must contain token, or jti and expiresAt, or userId and issuedBefore"]],
    ["an end in seconds", { jti: "a", expiresAt: 1_800_000_000 }, ["expiresAt"]],
    ["a token that is no text", { token: 1 }, ["token"]],
  ])("names what is wrong: %s", async (_, body, mistakes) => {
    const { call } = await backend();

    expect(await mistakesOf(call("revokeToken", { body }))).toEqual(mistakes);
  });
});

describe("POST /v1/users/{userId}/disconnect", () => {
  it.each<[unknown, object]>([
    [undefined, { code: "disconnected_by_backend", message: "The backend closed the connection.", reconnect: false }],
    [
      { code: "drain", message: "Moving house." },
      { code: "drain", message: "Moving house.", reconnect: true },
    ],
    [{ code: "kicked" }, { code: "kicked", message: "The backend closed the connection.", reconnect: false }],
    [
      { reconnect: true },
      { code: "disconnected_by_backend", message: "The backend closed the connection.", reconnect: true },
    ],
  ])("with %j closes with that word and leaves the sessions", async (body, word) => {
    const { world, call, asked } = await backend();
    const { token } = await login(world);

    const answer = await call("disconnectUser", { params: { userId: "ada" }, body });

    expect(answer.body).toEqual(closed);
    expect(asked).toEqual([["disconnect", "ada", word]]);
    expect(await world.authenticator.authenticate(token)).toMatchObject({ userId: "ada" });
  });

  it.each(["", "two words", "x".repeat(65), 7])("refuses the code %j", async (code) => {
    const { call } = await backend();

    expect(await mistakesOf(call("disconnectUser", { params: { userId: "a" }, body: { code } }))).toEqual(["code"]);
  });
});
