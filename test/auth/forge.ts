import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { TokenAlgorithm } from "../../src/auth/token-options.ts";

/** Tokens of any shape, signed by hand: no library would write most of them. */

export const secret = "a secret of the tests, long enough for HS256";

export type SigningKey = string | KeyObject;

export interface Forgery {
  /** Objects are written as JSON, text and bytes as they stand. @default alg HS256, typ JWT */
  header?: unknown;
  payload?: unknown;
  /** @default the tests' secret */
  key?: SigningKey;
  /** How it is really signed, whatever the header says. @default HS256 */
  signedWith?: SignedWith;
}

type SignedWith = TokenAlgorithm | "HS384" | "HS512";

export function forge({ header = hs256, payload, key = secret, signedWith = "HS256" }: Forgery): string {
  return signed(`${encode(header)}.${encode(payload)}`, key, signedWith);
}

/** Any text in place of header and payload, with a right signature. */
export function signed(input: string, key: SigningKey = secret, signedWith: SignedWith = "HS256"): string {
  return `${input}.${signatureOf(input, key, signedWith).toString("base64url")}`;
}

export const hs256 = { alg: "HS256", typ: "JWT" };

export function encode(part: unknown): string {
  if (part instanceof Uint8Array) return Buffer.from(part).toString("base64url");
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}

function signatureOf(input: string, key: SigningKey, algorithm: SignedWith): Buffer {
  if (typeof key === "string")
    return createHmac(`sha${algorithm.slice(2)}`, key)
      .update(input)
      .digest();
  if (algorithm === "EdDSA") return sign(null, Buffer.from(input), key);
  return sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
}

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
  pem: string;
}

export function keyPair(algorithm: "RS256" | "ES256" | "EdDSA"): KeyPair {
  const pair = generate(algorithm);
  return { ...pair, pem: pair.publicKey.export({ type: "spki", format: "pem" }).toString() };
}

function generate(algorithm: "RS256" | "ES256" | "EdDSA"): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === "RS256") return generateKeyPairSync("rsa", { modulusLength: 2_048 });
  return algorithm === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
}

/** Claims of a token that is good for ten minutes from `now`; further ones replace or, as `undefined`, remove. */
export function claims(now: number, others: Record<string, unknown> = {}): Record<string, unknown> {
  const iat = Math.floor(now / 1_000);
  return { sub: "ada", sid: "session-1", jti: "token-1", iat, exp: iat + 600, ...others };
}
