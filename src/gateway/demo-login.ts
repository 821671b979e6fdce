import type { Config } from "../config.ts";
import { developmentApiKey } from "../config/credentials.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { Demo, DemoLogin } from "../http/demo.ts";
import type { Throttling } from "../throttling/throttling.ts";
import type { Authentication } from "./authentication.ts";
import { requireAllowed } from "../commands/refusal.ts";

export interface DemoLoginDeps {
  authentication: Pick<Authentication, "tokens" | "sessions" | "logouts">;
  throttling: Pick<Throttling, "login">;
}

/**
 * The demo's login: anybody under any name, only if the demo is enabled. There is no password to get wrong, so every
 * login counts, by address and name; other names are not affected.
 */
export function createDemoLogin(config: Config, { authentication, throttling }: DemoLoginDeps): Demo["login"] {
  if (!config.demo) return undefined;
  const about = aboutOf(config);
  return async (name, address) => {
    await checkLimit(throttling, name, address);
    return { ...(await begin(authentication, name)), ...about };
  };
}

async function checkLimit(throttling: Pick<Throttling, "login">, name: string, address: string): Promise<void> {
  const result = await throttling.login(addressGroup(address), name);
  requireAllowed("logins", result, "Too many logins with this name from this address.");
}

async function begin(
  { tokens, sessions, logouts }: DemoLoginDeps["authentication"],
  userId: string,
): Promise<DemoLogin> {
  const { session, evicted } = await sessions.create({ userId });
  if (evicted.length > 0) await logouts.closeSessions(userId, evicted);
  const issued = tokens.issue({ ...session, sessionExpiresAt: session.expiresAt });
  if (issued === undefined) throw new Error("signing with the configured secret failed");
  return { sessionId: session.sessionId, token: issued.token, expiresAt: issued.expiresAt };
}

/** Settings that the demo page displays. */
function aboutOf({ apiKeys, limits }: Config): Pick<DemoLogin, "apiKey" | "messages"> {
  const { capacity, refillPerSecond, costs } = limits.messages;
  const isDevelopmentKey = apiKeys.some(({ secret }) => secret === developmentApiKey.secret);
  const apiKey = isDevelopmentKey ? developmentApiKey.secret : undefined;
  return { apiKey, messages: { capacity, refillPerSecond, costs } };
}
