import { createAuthenticator } from "../auth/authenticator.ts";
import { createSessionStore } from "../auth/session-store.ts";
import { createSessions } from "../auth/sessions.ts";
import { createTokenBlacklist } from "../auth/token-blacklist.ts";
import { createTokens, type Tokens } from "../auth/tokens.ts";
import { loadConfig, type Config } from "../config.ts";
import type { Environment } from "../config/environment.ts";
import { findStore } from "../gateway/locate-store.ts";
import { GatewayError } from "../protocol/errors.ts";
import { createRedisConnections } from "../redis/connections.ts";
import { createKeys } from "../redis/keys.ts";
import { systemClock } from "../runtime/clock.ts";
import { createLogger } from "../runtime/logger.ts";

/** Max milliseconds for Redis to respond. */
const readyTimeoutMs = 5_000;

/**
 * Says whether a gateway with these settings would accept a token, and why not: by the token alone, and with REDIS_URL also
 * by its session, revocations and blocks.
 */
export async function checkToken(env: Environment, token: string): Promise<{ text: string; isAccepted: boolean }> {
  const config = loadConfig(env);
  const tokens = createTokens(config.tokens, { clock: systemClock });
  try {
    return { text: await accepted(config, tokens, token), isAccepted: true };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { text: refusalText(error), isAccepted: false };
  }
}

async function accepted(config: Config, tokens: Tokens, token: string): Promise<string> {
  if (config.redis === undefined) {
    const { userId, expiresAt } = await tokens.verify(token);
    return `valid token of ${userId} until ${timeOf(expiresAt)}; set REDIS_URL to check its session too`;
  }
  const { userId, sessionId, expiresAt } = await withAuthenticator(config, tokens, (check) => check(token));
  return `accepted: ${userId}, session ${sessionId}, until ${timeOf(expiresAt)}`;
}

async function withAuthenticator<T>(
  config: Config,
  tokens: Tokens,
  act: (check: ReturnType<typeof createAuthenticator>["check"]) => Promise<T>,
): Promise<T> {
  const address = await findStore(config.redis as NonNullable<Config["redis"]>);
  const redis = createRedisConnections({ address, nodeId: config.nodeId, log: createLogger({ level: "silent" }) });
  try {
    await redis.ready(readyTimeoutMs);
    const store = { commands: redis.connection("commands"), keys: createKeys(config.keyPrefix), clock: systemClock };
    const sessions = createSessions({ store: createSessionStore(store), clock: systemClock });
    const { check } = createAuthenticator({ tokens, sessions, blacklist: createTokenBlacklist(store) });
    return await act(check);
  } finally {
    await redis.close();
  }
}

function refusalText({ code, message, reason }: GatewayError): string {
  const why = [reason?.rule, reason?.detail].filter((part) => part !== undefined).join(": ");
  return `refused: ${code}: ${message}${why === "" ? "" : ` (${why})`}`;
}

const timeOf = (ms: number): string => new Date(ms).toISOString();
