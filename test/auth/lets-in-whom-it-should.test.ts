import { connect, createServer, type Socket } from "node:net";
import { describe, expect, inject, it, onTestFinished, vi } from "vitest";
import { tagOfSession } from "../../src/auth/session-id.ts";
import { eventually } from "../support/world.ts";
import { claims, forge } from "./forge.ts";
import { authWorld, login, type AuthWorld } from "./world.ts";

const tokenFor = (sessionId: string, others: Record<string, unknown> = {}): string =>
  forge({ payload: claims(Date.now(), { sid: sessionId, ...others }) });

const codeOf = (verdict: Promise<unknown>): Promise<string> =>
  verdict.then(
    () => "accepted",
    (error: { code: string }) => error.code,
  );

describe("authenticate", () => {
  it("returns the identity from token and session", async () => {
    const world = await authWorld();
    const { session, token, tokenId, expiresAt } = await login(world);

    const identity = await world.authenticator.authenticate(token);

    expect(identity).toEqual({
      userId: "ada",
      sessionId: session.sessionId,
      tokenId,
      issuedAt: expect.any(Number),
      expiresAt,
      expiresBy: "token",
      roles: [],
      channels: { subscribe: [], publish: [] },
    });
  });

  it("takes roles and grants from the token, and from the session where the token does not say", async () => {
    const world = await authWorld();
    const channels = { subscribe: ["news:*"], publish: [] };
    const { sessionId } = (await world.sessions.create({ userId: "ada", roles: ["support"], channels })).session;

    const silent = await world.authenticator.authenticate(tokenFor(sessionId));
    const speaking = await world.authenticator.authenticate(tokenFor(sessionId, { roles: [], channels: {} }));

    expect(silent).toMatchObject({ roles: ["support"], channels });
    expect(speaking).toMatchObject({ roles: [], channels: { subscribe: [], publish: [] } });
  });

  it("names the session's end where that comes first", async () => {
    const world = await authWorld();
    const { session } = await login(world, "ada", 60);

    const identity = await world.authenticator.authenticate(tokenFor(session.sessionId));

    expect(identity).toMatchObject({ expiresAt: session.expiresAt, expiresBy: "session" });
  });

  it("notes when and with what the session was seen", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);

    await world.authenticator.authenticate(token, { userAgent: "browser" });

    await eventually(async () =>
      expect(await world.sessions.get(session.sessionId)).toMatchObject({ userAgent: "browser" }),
    );
  });

  it("asks Redis in one round trip, with one command", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);
    await world.sessions.touch(session.sessionId, { lastSeenAt: undefined });
    // Redis then has the script.
    await world.authenticator.authenticate(token);
    const sent = vi.spyOn(world.commands, "sendCommand");

    await world.authenticator.authenticate(token);

    expect(sent.mock.calls.map(([command]) => command.name)).toEqual(["evalsha"]);
  });
});

describe("authenticate refuses", () => {
  it.each(["", "no token", undefined, null, 1, { token: "a" }])("%s as unauthorized", async (token) => {
    const { authenticator } = await authWorld();

    expect(await codeOf(authenticator.authenticate(token))).toBe("unauthorized");
  });

  it("a token that has expired", async () => {
    const world = await authWorld();
    const { session } = await login(world);
    const old = forge({ payload: claims(Date.now() - 3_600_000, { sid: session.sessionId }) });

    expect(await codeOf(world.authenticator.authenticate(old))).toBe("token_expired");
  });

  it("a revoked token, while others of the session are good", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);

    await world.logouts.token(token);

    expect(await codeOf(world.authenticator.authenticate(token))).toBe("token_revoked");
    expect(await codeOf(world.authenticator.authenticate(tokenFor(session.sessionId, { jti: "other" })))).toBe(
      "accepted",
    );
  });

  it.each([
    ["that ended", async (world: AuthWorld, id: string) => void (await world.sessions.end(id))],
    ["of a user who was logged out everywhere", async (world: AuthWorld) => void (await world.sessions.endAll("ada"))],
  ])("a session %s", async (_, end) => {
    const world = await authWorld();
    const { session, token } = await login(world);

    await end(world, session.sessionId);

    expect(await codeOf(world.authenticator.authenticate(token))).toBe("session_expired");
  });

  it.each(["made-up", "", `${"a".repeat(16)}.${"b".repeat(22)}`, "../../x", "__proto__"])(
    "the session id %s that a stranger proposes",
    async (sid) => {
      const { authenticator, commands, keys } = await authWorld();

      const code = await codeOf(authenticator.authenticate(tokenFor(sid)));

      expect(code).toBe(sid === "" ? "unauthorized" : "session_expired");
      expect(await commands.keys(`${keys.prefix}:*`)).toEqual([]);
    },
  );

  it("a token of one user that points to another's session", async () => {
    const world = await authWorld();
    const { session } = await login(world, "ada");

    expect(await codeOf(world.authenticator.authenticate(tokenFor(session.sessionId, { sub: "eve" })))).toBe(
      "unauthorized",
    );
  });

  it("all as unavailable if the stored session is corrupt", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);
    const key = world.keys.session(tagOfSession(session.sessionId), session.sessionId);
    await world.commands.del(key);
    await world.commands.set(key, "text");

    expect(await codeOf(world.authenticator.authenticate(token))).toBe("unavailable");
  });
});

describe("while Redis is unreachable no client is admitted", () => {
  /** A road to the run's Redis that can be closed, or frozen. */
  async function brokenRoad() {
    const upstreams = new Set<Socket>();
    const { port } = new URL(inject("redisUrl"));
    const road = createServer((client) => {
      const upstream = connect(Number(port), "127.0.0.1");
      for (const socket of [client, upstream]) {
        upstreams.add(socket);
        socket.on("error", () => undefined);
      }
      client.pipe(upstream).pipe(client);
    });
    await new Promise<void>((resolve) => road.listen(0, "127.0.0.1", resolve));
    const close = (): void => {
      road.close();
      for (const socket of upstreams) socket.destroy();
    };
    onTestFinished(close);
    return { url: `redis://127.0.0.1:${(road.address() as { port: number }).port}`, close, upstreams };
  }

  it.each([
    ["gone", (road: Awaited<ReturnType<typeof brokenRoad>>) => road.close()],
    [
      "frozen",
      (road: Awaited<ReturnType<typeof brokenRoad>>) => {
        for (const socket of road.upstreams) socket.unpipe().pause();
      },
    ],
  ])("%s", async (_, breakIt) => {
    const road = await brokenRoad();
    const behind = await authWorld({ redis: { topology: "single", url: road.url } });
    const { token } = await login(behind);
    const { authenticator } = behind;
    expect(await codeOf(authenticator.authenticate(token))).toBe("accepted");

    breakIt(road);

    expect(await codeOf(authenticator.authenticate(token))).toBe("unavailable");
    expect(await codeOf(authenticator.authenticate("bad"))).toBe("unauthorized");
  });
});

describe("refresh", () => {
  it("gives the connection the fresh token's end", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);
    const identity = await world.authenticator.authenticate(token);

    const fresh = await world.authenticator.refresh(
      identity,
      tokenFor(session.sessionId, { exp: Math.floor(Date.now() / 1_000) + 3_600, jti: "fresh", roles: ["new"] }),
    );

    expect(fresh).toMatchObject({ userId: "ada", sessionId: session.sessionId, tokenId: "fresh", roles: ["new"] });
    expect(fresh.expiresAt).toBeGreaterThan(identity.expiresAt);
  });

  it("refuses another user's token and another session's, good as they are", async () => {
    const world = await authWorld();
    const identity = await world.authenticator.authenticate((await login(world)).token);
    const sameUser = await login(world);
    const otherUser = await login(world, "eve");

    for (const { token } of [sameUser, otherUser]) {
      const refusal = world.authenticator.refresh(identity, token);
      await expect(refusal).rejects.toMatchObject({ code: "forbidden", field: "token" });
    }
  });

  it("refuses what a handshake refuses", async () => {
    const world = await authWorld();
    const { session, token } = await login(world);
    const identity = await world.authenticator.authenticate(token);
    const old = forge({ payload: claims(Date.now() - 3_600_000, { sid: session.sessionId }) });

    expect(await codeOf(world.authenticator.refresh(identity, old))).toBe("token_expired");
    expect(await codeOf(world.authenticator.refresh(identity, `${token}x`))).toBe("unauthorized");
    await world.logouts.token(token);
    expect(await codeOf(world.authenticator.refresh(identity, token))).toBe("token_revoked");
    await world.sessions.end(session.sessionId);
    expect(await codeOf(world.authenticator.refresh(identity, tokenFor(session.sessionId)))).toBe("session_expired");
  });
});

it("a handshake after an answered revocation is refused, under any concurrency", async () => {
  const world = await authWorld();

  for (let round = 0; round < 100; round += 1) {
    const { session, token } = await login(world, `user-${round}`);
    const before = Array.from({ length: 5 }, () => codeOf(world.authenticator.authenticate(token)));
    const revocation = world.logouts.session(session.sessionId);
    const meanwhile = Array.from({ length: 5 }, () => codeOf(world.authenticator.authenticate(token)));
    await revocation;
    const after = await codeOf(world.authenticator.authenticate(token));

    for (const code of await Promise.all([...before, ...meanwhile])) {
      expect(["accepted", "session_expired"]).toContain(code);
    }
    expect(after).toBe("session_expired");
  }
});
