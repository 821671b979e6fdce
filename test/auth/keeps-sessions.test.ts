import { describe, expect, it } from "vitest";
import { isSessionOf, tagOfSession, userTagOf } from "../../src/auth/session-id.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { eventually } from "../support/world.ts";
import { authWorld, type AuthWorld } from "./world.ts";

const keyOf = ({ keys }: AuthWorld, sessionId: string): string => keys.session(tagOfSession(sessionId), sessionId);
const indexOf = ({ keys }: AuthWorld, userId: string): string => keys.userSessions(userTagOf(userId));

describe("a session", () => {
  it("is kept as it was made", async () => {
    const { sessions } = await authWorld();
    const channels = { subscribe: ["news:*"], publish: ["chat:7"] };
    const made = { userId: "ada", roles: ["support"], channels, data: { device: { name: "tv\u2028" } } };

    const { session, evicted } = await sessions.create(made);

    expect(evicted).toEqual([]);
    expect(session).toMatchObject({ ...made, lastSeenAt: session.createdAt });
    expect(await sessions.get(session.sessionId)).toEqual(session);
    expect(await sessions.list("ada")).toEqual([session]);
    expect(await sessions.peek(session.sessionId)).toEqual({
      userId: "ada",
      expiresAt: session.expiresAt,
      lastSeenAt: undefined,
      roles: ["support"],
      channels,
    });
  });

  it("has an unguessable id that reveals its user only to the gateway", async () => {
    const { sessions } = await authWorld();

    const ids = await Promise.all(
      Array.from({ length: 50 }, async () => (await sessions.create({ userId: "ada" })).session.sessionId),
    );

    expect(new Set(ids).size).toBe(50);
    expect(ids.every((id) => /^[\w-]{16}\.[\w-]{22}$/.test(id) && !id.includes("ada"))).toBe(true);
    expect(ids.every((id) => isSessionOf("ada", id) && !isSessionOf("eve", id))).toBe(true);
  });

  it("lives a day by default, else as long as its creator says", async () => {
    const world = await authWorld();

    const lives = await Promise.all(
      [undefined, 60, 30 * 86_400].map(async (ttlSeconds) => {
        const { session } = await world.sessions.create({ userId: "ada", ttlSeconds });
        return (session.expiresAt - session.createdAt) / 1_000;
      }),
    );

    for (const [index, seconds] of [86_400, 60, 2_592_000].entries()) {
      expect(lives[index]).toBeGreaterThanOrEqual(seconds);
      expect(lives[index]).toBeLessThan(seconds + 1);
    }
  });

  it("may not be asked to live longer than configured", async () => {
    const { sessions } = await authWorld();

    const refusal = sessions.create({ userId: "ada", ttlSeconds: 30 * 86_400 + 1 });

    await expect(refusal).rejects.toMatchObject({ code: "bad_request", field: "ttlSeconds" });
  });

  it("ends at a whole second, as its last token does", async () => {
    const { sessions, tokens } = await authWorld();

    const { session } = await sessions.create({ userId: "ada", ttlSeconds: 61 });

    expect(session.expiresAt % 1_000).toBe(0);
    expect(tokens.issue({ ...session, sessionExpiresAt: session.expiresAt })?.expiresAt).toBe(session.expiresAt);
  });

  it("is gone, from the index too, when its life is over", async () => {
    const world = await authWorld();
    const { session } = await world.sessions.create({ userId: "ada", ttlSeconds: 1 });

    await eventually(async () => expect(await world.sessions.get(session.sessionId)).toBeUndefined());

    expect(Date.now()).toBeGreaterThanOrEqual(session.expiresAt - 100);
    expect(await world.sessions.peek(session.sessionId)).toBeUndefined();
    expect(await world.sessions.list("ada")).toEqual([]);
    expect(await world.commands.exists(indexOf(world, "ada"))).toBe(0);
  });
});

describe("every key has a TTL", () => {
  it("the session's own; the index lives as long as the longest of them", async () => {
    const world = await authWorld();

    const long = (await world.sessions.create({ userId: "ada", ttlSeconds: 1_000 })).session;
    const short = (await world.sessions.create({ userId: "ada", ttlSeconds: 10 })).session;

    expect(await world.commands.pexpiretime(keyOf(world, long.sessionId))).toBe(long.expiresAt);
    expect(await world.commands.pexpiretime(keyOf(world, short.sessionId))).toBe(short.expiresAt);
    expect(await world.commands.pexpiretime(indexOf(world, "ada"))).toBe(long.expiresAt);
  });

  it("after everything that may be done to sessions", async () => {
    const world = await authWorld({ sessions: { maxSessionsPerUser: 3 } });
    for (let i = 0; i < 5; i += 1) {
      const { session } = await world.sessions.create({ userId: "ada", data: { i } });
      await world.sessions.touch(session.sessionId, { lastSeenAt: undefined, userAgent: "browser" });
    }
    const [first] = await world.sessions.list("ada");
    await world.sessions.end(first?.sessionId ?? "");
    await world.blacklist.revoke("token-1", Date.now() + 60_000);

    const stored = await world.commands.keys(`${world.keys.prefix}:*`);
    const lives = await Promise.all(stored.map((key) => world.commands.pttl(key)));

    expect(stored).toHaveLength(4);
    expect(lives.every((life) => life > 0)).toBe(true);
  });

  it("and all keys of a user share a hash tag, whatever the user's name", async () => {
    const world = await authWorld();
    const names = ["ada", "a:b", "}{user:ada", "*", "user:", "漢".repeat(256), "../x"];

    for (const userId of names) {
      const { session } = await world.sessions.create({ userId });
      expect(keyOf(world, session.sessionId).split("}")[0]).toBe(indexOf(world, userId).split("}")[0]);
      expect(await world.sessions.list(userId)).toEqual([session]);
    }
  });
});

describe("a session that is seen", () => {
  const halfIdle = { sessionIdleSeconds: 1_000, sessionTtlSeconds: 1_500 };

  it("lives on for the idle time, but never beyond its own end", async () => {
    const world = await authWorld({ sessions: halfIdle });
    const { session } = await world.sessions.create({ userId: "ada" });
    const key = keyOf(world, session.sessionId);
    const firstEnd = await world.commands.pexpiretime(key);
    expect(firstEnd).toBe(session.createdAt + 1_000_000);

    await world.commands.pexpire(key, 60_000);
    await world.sessions.touch(session.sessionId, { lastSeenAt: undefined });
    expect(await world.commands.pexpiretime(key)).toBeGreaterThanOrEqual(firstEnd);

    await world.commands.hset(key, "expiresAt", session.createdAt + 100_000, "lastSeenAt", "0");
    await world.sessions.touch(session.sessionId, { lastSeenAt: 0 });
    expect(await world.commands.pexpiretime(key)).toBe(session.createdAt + 100_000);
  });

  it("is noted with its user agent, once a minute however many ask", async () => {
    const world = await authWorld();
    const { sessionId, createdAt } = (await world.sessions.create({ userId: "ada" })).session;

    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        world.sessions.touch(sessionId, { lastSeenAt: undefined, userAgent: `browser ${i}` }),
      ),
    );
    const seen = await world.sessions.get(sessionId);
    await world.sessions.touch(sessionId, { lastSeenAt: Date.now() - 61_000, userAgent: "later" });

    expect(seen).toMatchObject({ userAgent: "browser 0" });
    expect(seen?.lastSeenAt).toBeGreaterThanOrEqual(createdAt);
    expect(await world.sessions.get(sessionId)).toEqual(seen);
  });

  it("costs Redis nothing at all within the minute", async () => {
    const world = await authWorld();
    const { sessionId } = (await world.sessions.create({ userId: "ada" })).session;
    await world.redis.close();

    const touched = world.sessions.touch(sessionId, { lastSeenAt: Date.now() - 59_000 });

    await expect(touched).resolves.toBeUndefined();
  });

  it("keeps a line of its user agent and nothing that could steer a terminal", async () => {
    const { sessions } = await authWorld();
    const { sessionId } = (await sessions.create({ userId: "ada" })).session;

    await sessions.touch(sessionId, { lastSeenAt: undefined, userAgent: `\u001b[2Ja\r\nb\u202e${"x".repeat(1_000)}` });

    expect((await sessions.get(sessionId))?.userAgent).toBe(`[2Jab${"x".repeat(251)}`);
  });

  it("does not come back to life", async () => {
    const world = await authWorld();
    const { sessionId } = (await world.sessions.create({ userId: "ada" })).session;
    await world.sessions.end(sessionId);

    await world.sessions.touch(sessionId, { lastSeenAt: undefined, userAgent: "late" });

    expect(await world.commands.exists(keyOf(world, sessionId))).toBe(0);
  });
});

describe("sessions end", () => {
  it("one by one, once", async () => {
    const world = await authWorld();
    const { sessions } = world;
    const [one, two] = [await sessions.create({ userId: "ada" }), await sessions.create({ userId: "ada" })];

    expect(await sessions.end(one.session.sessionId)).toBe("ada");
    expect(await sessions.end(one.session.sessionId)).toBeUndefined();
    expect(await world.commands.zrange(indexOf(world, "ada"), "0", "-1")).toEqual([two.session.sessionId]);
    expect(await sessions.list("ada")).toEqual([two.session]);
  });

  it("all at once, of one user only, and all but one", async () => {
    const { sessions } = await authWorld();
    const ids = [];
    for (let i = 0; i < 4; i += 1) ids.push((await sessions.create({ userId: "ada" })).session.sessionId);
    const other = await sessions.create({ userId: "eve" });

    const others = await sessions.endAll("ada", ids[1]);
    const rest = await sessions.endAll("ada");

    expect(new Set(others)).toEqual(new Set([ids[0], ids[2], ids[3]]));
    expect(rest).toEqual([ids[1]]);
    expect(await sessions.endAll("ada")).toEqual([]);
    expect(await sessions.list("eve")).toEqual([other.session]);
  });

  it("the oldest if there are too many; ended ones do not count", async () => {
    const { sessions } = await authWorld({ sessions: { maxSessionsPerUser: 3 } });
    const made = [];
    for (let i = 0; i < 3; i += 1) made.push((await sessions.create({ userId: "ada" })).session.sessionId);
    await sessions.end(made[1] ?? "");

    const fourth = await sessions.create({ userId: "ada" });
    const fifth = await sessions.create({ userId: "ada" });

    expect(fourth.evicted).toEqual([]);
    expect(fifth.evicted).toEqual([made[0]]);
    expect(await sessions.peek(made[0] ?? "")).toBeUndefined();
    const left = [made[2], fourth.session.sessionId, fifth.session.sessionId];
    expect((await sessions.list("ada")).map((session) => session.sessionId)).toEqual(left);
  });

  it("never the one that has just begun, though Redis' clock was set back", async () => {
    const world = await authWorld({ sessions: { maxSessionsPerUser: 2 } });
    for (let i = 0; i < 2; i += 1) {
      const { sessionId } = (await world.sessions.create({ userId: "ada" })).session;
      await world.commands.zincrby(indexOf(world, "ada"), 3_600_000_000, sessionId);
    }

    const { session, evicted } = await world.sessions.create({ userId: "ada" });

    expect(evicted).toHaveLength(1);
    expect(await world.sessions.peek(session.sessionId)).toBeDefined();
  });

  it("expired ones are evicted before live ones", async () => {
    const world = await authWorld({ sessions: { maxSessionsPerUser: 2 } });
    const old = (await world.sessions.create({ userId: "ada" })).session.sessionId;
    const dead = (await world.sessions.create({ userId: "ada" })).session.sessionId;
    await world.commands.del(keyOf(world, dead));

    const { evicted } = await world.sessions.create({ userId: "ada" });

    expect(evicted).toEqual([]);
    expect(await world.sessions.peek(old)).toBeDefined();
  });
});

describe("many at once", () => {
  it("never leave a user with more sessions than allowed, nor an index that differs from them", async () => {
    const world = await authWorld({ sessions: { maxSessionsPerUser: 5 } });

    const made = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const created = await world.sessions.create({ userId: "ada" });
        if (i % 7 === 0) await world.sessions.end(created.session.sessionId);
        return created;
      }),
    );

    const listed = (await world.sessions.list("ada")).map((session) => session.sessionId);
    const alive = [];
    for (const { session } of made) {
      if ((await world.sessions.peek(session.sessionId)) !== undefined) alive.push(session.sessionId);
    }
    expect(listed.length).toBeLessThanOrEqual(5);
    expect(alive.toSorted()).toEqual(listed.toSorted());
    expect(new Set(made.flatMap(({ evicted }) => evicted)).size).toBe(made.flatMap(({ evicted }) => evicted).length);
  });

  it("one of a hundred callers who end the same session ends it", async () => {
    const { sessions } = await authWorld();
    const { sessionId } = (await sessions.create({ userId: "ada" })).session;

    const answers = await Promise.all(Array.from({ length: 100 }, () => sessions.end(sessionId)));

    expect(answers.filter((userId) => userId !== undefined)).toEqual(["ada"]);
  });
});

describe("an id that was never made here", () => {
  it.each(["", "x", "../../etc", "a".repeat(1_000), `${"a".repeat(16)}.${"b".repeat(21)}*`, "a}:{b", "__proto__"])(
    "%s is nobody's session, and Redis is not asked",
    async (id) => {
      const { sessions, redis } = await authWorld();
      await redis.close();

      expect([await sessions.get(id), await sessions.peek(id), await sessions.end(id)]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    },
  );

  it("of the right form is asked for and not found", async () => {
    const { sessions } = await authWorld();
    const id = `${userTagOf("ada")}.${"b".repeat(22)}`;

    expect([await sessions.get(id), await sessions.peek(id), await sessions.end(id)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

it("everything throws unavailable while Redis is unreachable", async () => {
  const { sessions, blacklist, redis } = await authWorld();
  const { sessionId } = (await sessions.create({ userId: "ada" })).session;
  await redis.close();

  const calls = [
    () => sessions.create({ userId: "ada" }),
    () => sessions.get(sessionId),
    () => sessions.peek(sessionId),
    () => sessions.list("ada"),
    () => sessions.touch(sessionId, { lastSeenAt: undefined }),
    () => sessions.end(sessionId),
    () => sessions.endAll("ada"),
    () => blacklist.revoke("token-1", Date.now() + 1_000),
    () => blacklist.isRevoked("token-1"),
  ];

  for (const call of calls) {
    const error = await call().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
  }
});

it("a channel is granted to all sessions of a user, each by a revision of its own, or to none", async () => {
  const world = await authWorld();
  const { sessions, commands } = world;
  const [full, other] = [await sessions.create({ userId: "ada" }), await sessions.create({ userId: "ada" })];
  const ids = [full, other].map(({ session }) => session.sessionId);
  const grantedOf = () => Promise.all(ids.map(async (id) => (await sessions.peek(id))?.granted ?? []));

  expect(await sessions.grantChannel("ada", "room:1", true)).toEqual({ [ids[0]!]: 1, [ids[1]!]: 1 });
  expect(await sessions.grantChannel("ada", "room:1", false)).toEqual({ [ids[0]!]: 2, [ids[1]!]: 2 });
  const many = Array.from({ length: 256 }, (_, number) => `many:${number}`);
  await commands.hset(keyOf(world, ids[0]!), "granted", many.join("\n"));

  expect(await sessions.grantChannel("ada", "room:2", true)).toBeUndefined();
  expect(await grantedOf()).toEqual([many, []]);
  expect(await sessions.grantChannel("ada", "many:0", true)).toEqual({ [ids[0]!]: 3, [ids[1]!]: 3 });
});
