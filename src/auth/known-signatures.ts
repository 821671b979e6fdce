import { hash } from "node:crypto";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { CheckSignature } from "./token-options.ts";

/** Some 150 bytes each. */
const maxKnown = 10_000;

/**
 * Tokens whose signature was valid, by their digest, so that a client that comes back with its token does not cost another
 * check: with a public key that is as much as half of a handshake. Only the signature is remembered: claims, expiry and
 * revocation are checked each time.
 */
export class KnownSignatures {
  #known = new BoundedMap<string, true>(maxKnown);

  /** Calls `check` unless the signature is known. */
  check(token: string, check: CheckSignature): unknown {
    const known = this.#known;
    const digest = hash("sha256", token, "base64url");
    if (known.get(digest) === true) return undefined;
    const pending = check(token);
    // Into the map from before the check: the keys may have changed meanwhile.
    if (pending instanceof Promise) return pending.then(() => known.set(digest, true));
    return known.set(digest, true);
  }

  /** Call when the keys may have changed. */
  forget(): void {
    this.#known = new BoundedMap(maxKnown);
  }
}
