import type { Auth } from "./socket.ts";

/** Credentials of a virtual client. */
export interface VirtualUserLogin {
  /** Socket.IO's `auth` option. */
  auth: Auth;
  /** Resolves to a token that does not expire soon. */
  fresh(): Promise<string>;
}

/** A token and its expiry, with its session if the load test created it. */
export interface SignedIn {
  token: string;
  /** Epoch milliseconds. */
  expiresAt?: number | undefined;
  sessionId?: string | undefined;
}

/** A token that expires sooner is renewed before it is used. */
const minLeftMs = 60_000;

/** `renew` gets another token of a session; a token without a session is used as it is. */
export function createLogin(
  signedIn: SignedIn | undefined,
  renew: (sessionId: string) => Promise<SignedIn>,
): VirtualUserLogin {
  let current = signedIn;

  async function fresh(): Promise<string> {
    const { sessionId, expiresAt = Number.POSITIVE_INFINITY } = current ?? {};
    if (sessionId !== undefined && expiresAt < Date.now() + minLeftMs)
      current = { sessionId, ...(await renew(sessionId)) };
    return current?.token ?? "";
  }

  return {
    fresh,
    auth(give) {
      const isGood = (current?.expiresAt ?? Number.POSITIVE_INFINITY) >= Date.now() + minLeftMs;
      if (current === undefined) return give({});
      if (isGood || current.sessionId === undefined) return give({ token: current.token });
      // A token that cannot be renewed is sent as it is; the target accepts or refuses it.
      void fresh()
        .catch(() => current?.token)
        .then((token) => give({ token }));
    },
  };
}
