import { createPublicKey, type KeyObject } from "node:crypto";

/** Signature algorithms a token may carry; every other is refused before a key is touched. */
export const tokenAlgorithms = ["HS256", "RS256", "ES256", "EdDSA"] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

/** Where the keys that verify tokens come from. Only a secret lets the gateway sign tokens itself. */
export type TokenKeySource =
  { type: "secret"; secret: string } | { type: "public-key"; pem: string } | { type: "jwks"; uri: string };

export interface TokenOptions {
  source: TokenKeySource;
  /** Algorithms a token may carry. @default those that the key source can be used with */
  algorithms?: readonly TokenAlgorithm[] | undefined;
  /** `iss` of every token, asked and given. @default not looked at */
  issuer?: string | undefined;
  /** `aud` of every token, asked and given. @default not looked at */
  audience?: string | undefined;
  /** Life of a token that the gateway issues; never longer than its session. @default 900 */
  tokenTtlSeconds?: number | undefined;
  /** Longest life, from `iat` to `exp`, that a token may claim. @default 86400 */
  maxLifeSeconds?: number | undefined;
  /**
   * How far an issuer's clock may run ahead: for `iat` and `nbf`, at most 5. It does not prolong `exp`: connections are
   * closed at that moment, and a token let in after it would be thrown out at once. @default 5
   */
  clockToleranceSeconds?: number | undefined;
  jwks?: JwksOptions | undefined;
}

/** How the keys behind a JWKS address are kept. */
export interface JwksOptions {
  /** Milliseconds after which keys are read again behind the callers' backs. @default 600000 */
  freshMs?: number | undefined;
  /** Milliseconds that keys serve while the address does not answer. @default 3600000 */
  staleMs?: number | undefined;
  /** Least milliseconds between two readings because of an unknown `kid`. @default 30000 */
  cooldownMs?: number | undefined;
  /** Milliseconds without a reading after one that failed. @default 1000 */
  pauseMs?: number | undefined;
  /**
   * Milliseconds one reading may take, from the connection to the last byte. Less than a client has for its handshake, so
   * that those who wait for the first reading are answered. @default 3000
   */
  timeoutMs?: number | undefined;
}

/** Throws, or rejects, where the signature is not right; a GatewayError where that cannot be known. */
export type CheckSignature = (token: string) => unknown;

/** Algorithms that a key source can be used with; empty for a public key of no kind we know. */
export function algorithmsOf(source: TokenKeySource): TokenAlgorithm[] {
  if (source.type === "secret") return ["HS256"];
  if (source.type === "jwks") return ["RS256", "ES256", "EdDSA"];
  const algorithm = algorithmOfKey(createPublicKey(source.pem));
  return algorithm === undefined ? [] : [algorithm];
}

/** Shorter RSA keys can be factored; RFC 7518 asks for this length too. */
const shortestRsaBits = 2_048;

/** The one algorithm a public key is good for: RSA of 2048 bits or more, P-256 or Ed25519. */
function algorithmOfKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): TokenAlgorithm | undefined {
  if (asymmetricKeyType === "ed25519") return "EdDSA";
  if (asymmetricKeyType === "ec") return asymmetricKeyDetails?.namedCurve === "prime256v1" ? "ES256" : undefined;
  if (asymmetricKeyType !== "rsa") return undefined;
  return (asymmetricKeyDetails?.modulusLength ?? 0) >= shortestRsaBits ? "RS256" : undefined;
}
