import { onTestFinished } from "vitest";
import { createAuthenticator } from "../../src/auth/authenticator.ts";
import { createLogouts } from "../../src/auth/logout.ts";
import type { Disconnection, Revocations } from "../../src/auth/revocations.ts";
import { createSessionStore } from "../../src/auth/session-store.ts";
import { createSessions, type SessionOptions } from "../../src/auth/sessions.ts";
import { createTicketStore } from "../../src/auth/ticket-store.ts";
import { createTokenBlacklist } from "../../src/auth/token-blacklist.ts";
import { createTokens } from "../../src/auth/tokens.ts";
import { createRedisConnections, type RedisAddress, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { freshPrefix, quietLog, redisWorld } from "../support/world.ts";
import { secret } from "./forge.ts";

export interface AuthWorldOptions {
  clock?: Clock;
  sessions?: SessionOptions;
  /** @default none live anywhere, two nodes that answer */
  revocations?: Revocations;
  /** @default the run's Redis */
  redis?: RedisAddress;
}

/** The whole auth room on real Redis, under a prefix of its own. */
export async function authWorld(world: AuthWorldOptions = {}) {
  const { clock = systemClock, sessions: options, revocations, redis: address } = world;
  const { redis, keys } = address === undefined ? await redisWorld() : redisAt(address);
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const tokens = createTokens({ source: { type: "secret", secret } }, { clock });
  const sessions = createSessions({ store: createSessionStore({ commands, keys }), clock }, options);
  const blacklist = createTokenBlacklist({ commands, keys, clock });
  const authenticator = createAuthenticator({ tokens, sessions, blacklist });
  const logouts = createLogouts({ sessions, tokens, blacklist, revocations: revocations ?? nobodyLive });
  const tickets = createTicketStore({ commands, keys, clock });
  return { redis, commands, keys, clock, tokens, sessions, tickets, blacklist, authenticator, logouts };
}

function redisAt(address: RedisAddress): { redis: RedisConnections; keys: Keys } {
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  return { redis, keys: createKeys(freshPrefix()) };
}

export type AuthWorld = Awaited<ReturnType<typeof authWorld>>;

const nobody: Disconnection = { disconnected: 0, nodes: 2, acknowledged: 2 };

const nobodyLive: Revocations = {
  revokeSession: async () => nobody,
  revokeUserSessions: async () => nobody,
  revokeToken: async () => nobody,
  revokeTokensBefore: async () => nobody,
  disconnectUser: async () => nobody,
  settle: async () => nobody,
};

/** A fresh login and its first token. */
export async function login({ sessions, tokens }: AuthWorld, userId = "ada", ttlSeconds?: number) {
  const { session } = await sessions.create({ userId, ttlSeconds });
  const issued = tokens.issue({ ...session, sessionExpiresAt: session.expiresAt });
  if (issued === undefined) throw new Error("a secret signs");
  return { session, ...issued };
}
