import { AppClient } from "../app/app-client.ts";
import { AppHooks } from "../app/hooks.ts";
import type { AskApp, Principal } from "../channels/permissions.ts";
import type { Config } from "../config.ts";
import { appUserOf, type Connection } from "../connections/connection.ts";
import { createCircuitBreaker } from "../redis/circuit-breaker.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/** How a node reaches the app, in this process or over HTTP. */
export interface AppAccess {
  /** Undefined without an app over HTTP. */
  client: AppClient | undefined;
  hooks: AppHooks;
}

/** Max time for a hook in this process to answer. */
const timeoutMs = 5_000;

export function createAppAccess(
  { app, nodeId, limits }: Config,
  { clock, log }: { clock: Clock; log: Logger },
): AppAccess {
  const client = app && new AppClient({ breaker: createCircuitBreaker({ clock, log }, "the app"), clock }, app);
  const { payloadBytes } = limits;
  const own = { hooks: [], timeoutMs, headers: undefined };
  return { client, hooks: new AppHooks({ client, clock }, { ...own, ...app, nodeId, payloadBytes }) };
}

/** Asks the app about channels whose kind says `hook`. */
export const askAppOf =
  ({ hooks }: AppAccess): AskApp =>
  ({ principal, subscriber, ...asked }) =>
    // A subscriber of this node is always a connection.
    hooks.judge({ ...asked, user: userOf(principal), connection: subscriber as Connection | undefined });

const userOf = ({ userId, sessionId = "", roles = [], info }: Principal) =>
  appUserOf({ userId, sessionId, roles, info });
