import type { Auth } from "./socket.ts";

/** Who a virtual client is. */
export interface Login {
  /** Goes into each handshake. */
  auth: Auth;
  /** A token that is not about to end. */
  fresh(): Promise<string>;
}

/** A token and when it ends, with the session it belongs to where the lab began that. */
export interface SignedIn {
  token: string;
  /** Epoch milliseconds. */
  expiresAt?: number | undefined;
  sessionId?: string | undefined;
}

/** A token that has less left than this is renewed before it is shown. */
const leastLeftMs = 60_000;

/** `renew` asks the house for another token of a session; without one the token it has must do. */
export function createLogin(signedIn: SignedIn | undefined, renew: (sessionId: string) => Promise<SignedIn>): Login {
  let current = signedIn;

  async function fresh(): Promise<string> {
    const { sessionId, expiresAt = Number.POSITIVE_INFINITY } = current ?? {};
    if (sessionId !== undefined && expiresAt < Date.now() + leastLeftMs)
      current = { sessionId, ...(await renew(sessionId)) };
    return current?.token ?? "";
  }

  return {
    fresh,
    auth(give) {
      const isGood = (current?.expiresAt ?? Number.POSITIVE_INFINITY) >= Date.now() + leastLeftMs;
      if (current === undefined) return give({});
      if (isGood || current.sessionId === undefined) return give({ token: current.token });
      // A token that cannot be renewed is shown as it is: the house says what it thinks of it.
      void fresh()
        .catch(() => current?.token)
        .then((token) => give({ token }));
    },
  };
}
