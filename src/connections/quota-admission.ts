import type { Identity } from "../auth/identity.ts";
import { isSessionId } from "../auth/session-id.ts";
import type { Presence } from "../presence/presence.ts";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { ConnectionInfo } from "./connection.ts";
import type { SessionRecovery } from "./session-recovery.ts";
import type { ReconnectCooldown } from "./reconnect-cooldown.ts";

export interface QuotaAdmissionDeps {
  authenticator: { authenticate: AuthenticateClient };
  quota: Pick<Presence["connectionQuota"], "take" | "release">;
  recovery: Pick<SessionRecovery, "evictPrevious">;
  cooldown: ReconnectCooldown;
  clock: Clock;
}

/** What a client's handshake says in addition to its token. */
export interface HandshakeContext {
  userAgent: string | undefined;
  /** Secret recovery id of the connection that the client claims to have had before. */
  privateId?: string | undefined;
  /** The client has given this handshake up, and may have connected by another one since. Omit if it cannot tell. */
  hasLeft?: (() => boolean) | undefined;
  /** It will be subscribed to the user's own channel. @default false */
  hasOwnChannel?: boolean | undefined;
  /** For an app that is asked who the client is. */
  connection?: ConnectionInfo | undefined;
}

/** `onVerified` is called once the session is known, before Redis is asked about it. */
export type AuthenticateClient = (
  token: unknown,
  caller: HandshakeContext,
  onVerified: (sessionId: string, userId: string) => void,
) => Promise<Identity>;

/** Max milliseconds until the quota of an evicted connection is free, on whichever node that was. */
const maxReleaseWaitMs = 2_000;
const retryMs = 50;

/** Authenticates a client and takes one connection of its user's quota; a refused client has taken none. */
export function createQuotaAdmission({ authenticator, quota, recovery, cooldown, clock }: QuotaAdmissionDeps) {
  /**
   * A client whose network was cut returns before its old connection is known to be dead, and would be refused because of
   * that connection: it is closed first. The quota is never exceeded.
   */
  async function replacePrevious({ sessionId, userId }: Identity, caller: HandshakeContext): Promise<void> {
    const { privateId, hasLeft } = caller;
    const mayEvict = privateId !== undefined && hasLeft?.() !== true;
    const isEvicted = mayEvict && (await recovery.evictPrevious(privateId, { sessionId, userId }));
    if (!isEvicted) throw new GatewayError("connection_limit");
    const until = clock.monotonic() + maxReleaseWaitMs;
    for (;;) {
      await sleep(clock, retryMs);
      try {
        return await quota.take(sessionId);
      } catch (error) {
        if (!isLimit(error) || clock.monotonic() > until) throw error;
      }
    }
  }

  /** Requests the quota in the same write as the session, and releases it if authentication fails. */
  return async function authenticateWithinQuota(token: unknown, caller: HandshakeContext): Promise<Identity> {
    let taken: Promise<boolean> | undefined;
    let session = "";
    try {
      const identity = await authenticator.authenticate(token, caller, (sessionId) => {
        if (!isSessionId(sessionId)) return;
        cooldown.check(sessionId);
        session = sessionId;
        taken = quota.take(sessionId).then(isTaken, isNotTaken);
        // Unhandled if the session is refused first.
        taken.catch(ignore);
      });
      if ((await taken) === false) await replacePrevious(identity, caller);
      return identity;
    } catch (error) {
      taken?.then((wasTaken) => wasTaken && quota.release(session), ignore);
      throw error;
    }
  };
}

const isTaken = (): boolean => true;

/** The user has the maximum number of connections, if nothing else failed. */
function isNotTaken(error: unknown): boolean {
  if (isLimit(error)) return false;
  throw error;
}

const ignore = (): void => undefined;

const isLimit = (error: unknown): boolean => error instanceof GatewayError && error.code === "connection_limit";
