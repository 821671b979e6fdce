import type { Authenticator } from "../auth/authenticator.ts";
import type { Identity } from "../auth/identity.ts";
import { isSessionId } from "../auth/session-id.ts";
import type { Presence } from "../presence/presence.ts";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Recovery } from "./recovery.ts";
import type { SentOff } from "./sent-off.ts";

export interface SeatingDeps {
  authenticator: Pick<Authenticator, "authenticate">;
  seats: Pick<Presence["seats"], "take" | "release">;
  recovery: Pick<Recovery, "makeWay">;
  sentOff: SentOff;
  clock: Clock;
}

/** What somebody at the door says beside a token. */
export interface Caller {
  userAgent: string | undefined;
  /** Of the connection it says it had before; only its client knows it. */
  privateId?: string | undefined;
}

/** Until the seat of a connection that was closed is free, wherever that was. */
const freeingMs = 2_000;
const retryMs = 50;

/** Who it is, with one of its user's connections taken for it; whoever is not let in has taken none. */
export function createSeating({ authenticator, seats, recovery, sentOff, clock }: SeatingDeps) {
  /**
   * A client whose network was cut is back before its old connection is known to be dead, and would find its own place
   * taken: that connection is closed first. Nobody ever has more than there are.
   */
  async function takeFromPast({ sessionId, userId }: Identity, { privateId }: Caller): Promise<void> {
    const madeWay = privateId !== undefined && (await recovery.makeWay(privateId, { sessionId, userId }));
    if (!madeWay) throw new GatewayError("connection_limit");
    const until = clock.monotonic() + freeingMs;
    for (;;) {
      await sleep(clock, retryMs);
      try {
        return await seats.take(sessionId);
      } catch (error) {
        if (!isLimit(error) || clock.monotonic() > until) throw error;
      }
    }
  }

  /** A seat is asked for in the write that asks for the session, and given back where the stranger is not let in. */
  return async function seated(token: unknown, caller: Caller): Promise<Identity> {
    let seat: Promise<string> | undefined;
    try {
      const identity = await authenticator.authenticate(token, caller, (sessionId) => {
        if (!isSessionId(sessionId)) return;
        sentOff.check(sessionId);
        seat = seats.take(sessionId).then(() => sessionId);
        // Nobody looks at it where the session is refused first.
        seat.catch(() => undefined);
      });
      await seat?.catch((error: unknown) => {
        if (!isLimit(error)) throw error;
        return takeFromPast(identity, caller);
      });
      return identity;
    } catch (error) {
      seat?.then((sessionId) => seats.release(sessionId)).catch(() => undefined);
      throw error;
    }
  };
}

const isLimit = (error: unknown): boolean => error instanceof GatewayError && error.code === "connection_limit";
