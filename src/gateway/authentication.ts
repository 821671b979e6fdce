import { createAuthenticator, type Authenticator } from "../auth/authenticator.ts";
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
}

export function createAuthentication(
  config: Config,
  { commands, keys }: Store,
  revocations: Revocations,
  { clock, log }: { clock: Clock; log: Logger },
): Authentication {
  const tokens = createTokens(config.tokens, { clock, log });
  const sessions = createSessions({ store: createSessionStore({ commands, keys }), clock }, config.sessions);
  const blacklist = createTokenBlacklist({ commands, keys, clock }, config.tokens);
  return {
    tokens,
    sessions,
    tickets: createTicketStore({ commands, keys, clock }),
    authenticator: createAuthenticator({ tokens, sessions, blacklist }),
    logouts: createLogouts({ sessions, tokens, blacklist, revocations }),
  };
}
