import { describe, expect, it } from "vitest";
import type { Disconnection, Revocations } from "../../src/auth/revocations.ts";
import type { GatewayError } from "../../src/protocol/errors.ts";
import { claims, forge } from "./forge.ts";
import { authWorld, login, type AuthWorld } from "./world.ts";

/** Live sockets on two nodes, which note what is asked and whether the store refused the login by then. */
async function worldWithSockets() {
  const asked: unknown[] = [];
  const answer: Disconnection = { disconnected: 2, nodes: 2, acknowledged: 2 };
  let codeWhenAsked: string | undefined;
  let watched: string | undefined;

  async function note(...call: unknown[]): Promise<Disconnection> {
    asked.push(call);
    if (watched !== undefined) codeWhenAsked = await codeOf(world, watched);
    return answer;
  }

  const revocations: Revocations = {
    revokeSession: (...call) => note("session", ...call),
    revokeUserSessions: (...call) => note("user", ...call),
    revokeToken: (...call) => note("token", ...call),
    revokeTokensBefore: (...call) => note("tokens before", ...call),
    disconnectUser: (...call) => note("disconnect", ...call),
    settle: () => note("settle"),
  };
  const world = await authWorld({ revocations });
  return { world, asked, watch: (token: string) => void (watched = token), codeWhenAsked: () => codeWhenAsked };
}

const codeOf = ({ authenticator }: AuthWorld, token: string): Promise<string> =>
  authenticator.authenticate(token).then(
    () => "accepted",
    (error: GatewayError) => error.code,
  );

const closed = { disconnected: 2, nodes: 2, acknowledged: 2 };

describe("Redis is updated before any connection is closed", () => {
  it("a session", async () => {
    const { world, asked, watch, codeWhenAsked } = await worldWithSockets();
    const { session, token } = await login(world);
    watch(token);

    expect(await world.logouts.session(session.sessionId)).toEqual({ revoked: 1, ...closed });

    expect(asked).toEqual([["session", session.sessionId, "ada"]]);
    expect(codeWhenAsked()).toBe("session_expired");
  });

  it("all sessions of a user", async () => {
    const { world, asked, watch, codeWhenAsked } = await worldWithSockets();
    await login(world);
    watch((await login(world)).token);

    expect(await world.logouts.allSessions("ada")).toEqual({ revoked: 2, ...closed });

    expect(asked).toEqual([["user", "ada"]]);
    expect(codeWhenAsked()).toBe("session_expired");
  });

  it("all other sessions of a user", async () => {
    const { world, asked } = await worldWithSockets();
    const mine = await login(world);
    const others = [await login(world), await login(world)];
    const identity = await world.authenticator.authenticate(mine.token);

    const logout = await world.logouts.otherSessions(identity);

    expect(logout).toEqual({ revoked: 2, disconnected: 4, nodes: 4, acknowledged: 4 });
    expect(new Set(asked)).toEqual(new Set(others.map(({ session }) => ["session", session.sessionId, "ada"])));
    expect(await codeOf(world, mine.token)).toBe("accepted");
    for (const { token } of others) expect(await codeOf(world, token)).toBe("session_expired");
  });

  it("a token, by itself or by its id", async () => {
    const { world, asked, watch, codeWhenAsked } = await worldWithSockets();
    const one = await login(world);
    const two = await login(world);
    watch(one.token);

    expect(await world.logouts.token(one.token)).toEqual({ revoked: 1, ...closed });
    expect(codeWhenAsked()).toBe("token_revoked");
    expect(await world.logouts.tokenId(two.tokenId, two.expiresAt)).toEqual({ revoked: 1, ...closed });

    expect(asked).toEqual([
      ["token", one.tokenId],
      ["token", two.tokenId],
    ]);
    expect(await codeOf(world, two.token)).toBe("token_revoked");
  });
});

describe("connections are closed even if Redis had nothing to end, so that a retry finishes the work", () => {
  it("a session that has ended", async () => {
    const { world, asked } = await worldWithSockets();
    const { session } = await login(world);
    await world.sessions.end(session.sessionId);

    expect(await world.logouts.session(session.sessionId)).toEqual({ revoked: 0, ...closed });
    expect(asked).toEqual([["session", session.sessionId, undefined]]);
  });

  it("a token that has expired", async () => {
    const { world, asked } = await worldWithSockets();
    const old = forge({ payload: claims(Date.now() - 3_600_000) });

    expect(await world.logouts.token(old)).toEqual({ revoked: 0, ...closed });
    expect(asked).toEqual([["token", "token-1"]]);
  });
});

it("an invalid token is a bad request that names the field", async () => {
  const { world, asked } = await worldWithSockets();

  for (const token of ["", "a.b.c", forge({ payload: claims(Date.now()), key: "another" })]) {
    await expect(world.logouts.token(token)).rejects.toMatchObject({ code: "bad_request", field: "token" });
  }
  expect(asked).toEqual([]);
});

it("nothing is reported as revoked while Redis is unreachable", async () => {
  const { world, asked } = await worldWithSockets();
  const { session, token } = await login(world);
  await world.redis.close();

  for (const end of [
    () => world.logouts.session(session.sessionId),
    () => world.logouts.allSessions("ada"),
    () => world.logouts.token(token),
  ]) {
    await expect(end()).rejects.toMatchObject({ code: "unavailable" });
  }
  expect(asked).toEqual([]);
});
