import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from "node:crypto";
import { compactVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";
import { KnownSignatures } from "./known-signatures.ts";
import {
  algorithmOfKey,
  publicKeysIn,
  type CheckSignature,
  type TokenAlgorithm,
  type TokenKeySource,
} from "./token-options.ts";

/** Checks the signatures of tokens with the configured secrets or public keys, of which any may have signed. */
export function createSignatureCheck(source: TokenKeySource, algorithms: readonly TokenAlgorithm[]): CheckSignature {
  if (source.type === "jwks") throw new Error("a key set has no single key");
  if (source.type === "secret")
    return anyOf([source.secret, ...(source.additionalSecrets ?? [])].map((secret) => withHmac(secretKey(secret))));
  const keys = publicKeysIn(source.pem).filter((key) => algorithms.some((one) => one === algorithmOfKey(key)));
  const check = anyOf(keys.map(withPublicKey));
  const signatures = new KnownSignatures();
  return (token) => signatures.check(token, check);
}

/** Signs claims with HS256. */
export function createSigner(secret: string): (claims: object) => string {
  const key = secretKey(secret);
  return (claims) => jsonwebtoken.sign(claims, key, { algorithm: "HS256" });
}

function secretKey(secret: string): KeyObject {
  if (secret === "") throw new Error("the secret for signing tokens is empty");
  return createSecretKey(secret, "utf8");
}

/** One after the other, at once as far as they do not wait; fails as the last one does. */
function anyOf([first, ...others]: readonly CheckSignature[]): CheckSignature {
  if (first === undefined) throw new Error("there is no key for verifying tokens");
  if (others.length === 0) return first;
  const checkOthers = anyOf(others);
  return (token) => {
    try {
      const pending = first(token);
      return pending instanceof Promise ? pending.catch(() => checkOthers(token)) : pending;
    } catch {
      return checkOthers(token);
    }
  };
}

/**
 * HS256, the only algorithm of a secret. jsonwebtoken would decode and parse the token again, at three times the cost of
 * the check, which is the largest part of a handshake's own CPU.
 */
function withHmac(key: KeyObject): CheckSignature {
  return (token) => {
    const dot = token.lastIndexOf(".");
    const expected = createHmac("sha256", key).update(token.slice(0, dot)).digest("base64url");
    const given = token.slice(dot + 1);
    if (given.length !== expected.length || !timingSafeEqual(Buffer.from(given), Buffer.from(expected)))
      throw new Error("The signature is wrong.");
  };
}

function withPublicKey(key: KeyObject): CheckSignature {
  const algorithm = algorithmOfKey(key);
  // jsonwebtoken does not know EdDSA.
  if (algorithm === "EdDSA") return (token) => compactVerify(token, key, { algorithms: [algorithm] });
  const options = { algorithms: [algorithm as jsonwebtoken.Algorithm], ignoreExpiration: true, ignoreNotBefore: true };
  return (token) => jsonwebtoken.verify(token, key, options);
}
