import { createAuthenticator, type Authenticator } from "../auth/authenticator.ts";
import { createLiveRights, type LiveRights, type RightsBroadcast } from "../auth/live-rights.ts";
import { createLogouts, type Logouts } from "../auth/logout.ts";
import type { Revocations } from "../auth/revocations.ts";
import { createSessionStore } from "../auth/session-store.ts";
import { createSessions, type Sessions } from "../auth/sessions.ts";
import { createTicketStore, type TicketStore } from "../auth/ticket-store.ts";
import { createTokenBlacklist } from "../auth/token-blacklist.ts";
import { createTokens, type Tokens } from "../auth/tokens.ts";
import type { Config } from "../config.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Store } from "./store.ts";

/** Tokens, sessions and revocation. */
export interface Authentication {
  tokens: Tokens;
  sessions: Sessions;
  tickets: TicketStore;
  authenticator: Authenticator;
  logouts: Logouts;
  liveRights: LiveRights;
}

/** Tolerance for an issuer whose clock is ahead. */
const slackMs = 60_000;

export interface AuthenticationDeps {
  revocations: Revocations;
  broadcast: RightsBroadcast;
  clock: Clock;
  log: Logger;
}

export function createAuthentication(
  config: Config,
  { commands, keys }: Store,
  { clock, log, revocations, broadcast }: AuthenticationDeps,
): Authentication {
  const tokens = createTokens(config.tokens, { clock, log });
  const sessions = createSessions(
    {
      store: createSessionStore(
        { commands, keys },
        { endedMs: config.tokens.adopt ? config.tokens.maxLifeSeconds * 1_000 + slackMs : 0 },
      ),
      clock,
    },
    { ...config.sessions, adopt: config.tokens.adopt },
  );
  const blacklist = createTokenBlacklist({ commands, keys, clock }, config.tokens);
  const logouts = createLogouts({ sessions, tokens, blacklist, revocations, clock, ...config.tokens });
  const closeEvicted = (userId: string, sessionIds: readonly string[]): void => {
    logouts
      .closeSessions(userId, sessionIds)
      .catch((error: unknown) => log.warn({ err: error }, "closing connections of evicted sessions failed"));
  };
  return {
    tokens,
    sessions,
    tickets: createTicketStore({ commands, keys, clock }),
    logouts,
    authenticator: createAuthenticator({
      tokens,
      sessions,
      blacklist,
      onEvicted: closeEvicted,
    }),
    liveRights: createLiveRights({ sessions, revocations, broadcast }),
  };
}
