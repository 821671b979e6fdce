import { createAuthenticator, type Authenticator } from "../auth/authenticator.ts";
import { createLogouts, type Logouts } from "../auth/logout.ts";
import type { Revocations } from "../auth/revocations.ts";
import { createSessionStore } from "../auth/session-store.ts";
import { createSessions, type Sessions } from "../auth/sessions.ts";
import { createTokenBlacklist } from "../auth/token-blacklist.ts";
import { createTokens, type Tokens } from "../auth/tokens.ts";
import type { Config } from "../config.ts";
import { developmentApiKey } from "../config/credentials.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Demo } from "../server/http/demo.ts";
import type { Store } from "./store.ts";

/** Who may come in. */
export interface Entry {
  tokens: Tokens;
  sessions: Sessions;
  authenticator: Authenticator;
  logouts: Logouts;
}

export function createEntry(config: Config, { commands, keys }: Store, revocations: Revocations, clock: Clock): Entry {
  const tokens = createTokens(config.tokens, { clock });
  const sessions = createSessions({ store: createSessionStore({ commands, keys }), clock }, config.sessions);
  const blacklist = createTokenBlacklist({ commands, keys, clock }, config.tokens);
  return {
    tokens,
    sessions,
    authenticator: createAuthenticator({ tokens, sessions, blacklist }),
    logouts: createLogouts({ sessions, tokens, blacklist, revocations }),
  };
}

/** The demo's sign-in: anybody under any name, outside production and where the gateway can sign tokens itself. */
export function createDemoLogin(config: Config, { tokens, sessions }: Entry): Demo["login"] {
  const canSign = config.tokens.source.type === "secret";
  if (config.isProduction || !canSign) return undefined;
  const isDevelopmentKey = config.apiKeys.some(({ secret }) => secret === developmentApiKey.secret);
  const { capacity, refillPerSecond, costs } = config.limits.messages;
  const messages = { capacity, refillPerSecond, costs };
  return async (name) => {
    const { session } = await sessions.create({ userId: name });
    const issued = tokens.issue({ ...session, sessionExpiresAt: session.expiresAt });
    if (issued === undefined) throw new Error("the configured secret did not sign");
    const apiKey = isDevelopmentKey ? developmentApiKey.secret : undefined;
    return { sessionId: session.sessionId, token: issued.token, expiresAt: issued.expiresAt, apiKey, messages };
  };
}
