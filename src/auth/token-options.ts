import { createPublicKey, type KeyObject } from "node:crypto";

/** Supported signature algorithms; any other is refused before a key is used. */
export const tokenAlgorithms = ["HS256", "RS256", "ES256", "EdDSA"] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

/** Source of the keys that verify tokens. Only with a secret can the gateway sign tokens itself. */
export type TokenKeySource =
  /** The first secret signs; tokens signed with one of the others are accepted too, during rotation. */
  | { type: "secret"; secret: string; additionalSecrets?: readonly string[] }
  /** Several keys may follow each other, during rotation. */
  | { type: "public-key"; pem: string }
  | { type: "jwks"; uri: string };

export interface TokenOptions {
  source: TokenKeySource;
  /** Accepted algorithms. @default those that the key source supports */
  algorithms?: readonly TokenAlgorithm[] | undefined;
  /** Required `iss`, also set in issued tokens. @default not checked */
  issuer?: string | undefined;
  /** Required `aud`, also set in issued tokens. @default not checked */
  audience?: string | undefined;
  /** Life of issued tokens; at most that of their session. @default 900 */
  tokenTtlSeconds?: number | undefined;
  /** Max time from `iat` to `exp`. @default 86400 */
  maxLifeSeconds?: number | undefined;
  /**
   * How far an issuer's clock may be ahead: for `iat` and `nbf`, at most 5. It does not extend `exp`, because connections
   * are closed at that time. @default 5
   */
  clockToleranceSeconds?: number | undefined;
  jwks?: JwksOptions | undefined;
  /**
   * Accept tokens of an identity provider as they are: `jti` may be missing, the session is derived from `sid`, `session_id`,
   * or `sub` and `iat`, and is created when it is first seen. @default false
   */
  adopt?: boolean | undefined;
  /** Claims to read roles and channels from; nested ones by dots, such as `realm_access.roles`. */
  claims?: ClaimNames | undefined;
}

export const tokenDefaults = { tokenTtlSeconds: 900, maxLifeSeconds: 86_400, clockToleranceSeconds: 5, adopt: false };

/** Names of claims, nested ones separated by dots. A claim whose name contains dots is found first. */
export interface ClaimNames {
  /** @default "roles" */
  roles?: string | undefined;
  /** @default "channels" */
  channels?: string | undefined;
  /** Claim with the public part of the session, an object. @default none */
  info?: string | undefined;
}

/** Caching of the keys of a JWKS address. */
export interface JwksOptions {
  /** Milliseconds after which keys are reloaded in the background. @default 600000 */
  freshMs?: number | undefined;
  /** Milliseconds for which keys are used while the address does not answer. @default 3600000 */
  staleMs?: number | undefined;
  /** Min milliseconds between two loads because of an unknown `kid`. @default 30000 */
  cooldownMs?: number | undefined;
  /** Milliseconds without a retry after a failed load. @default 1000 */
  pauseMs?: number | undefined;
  /**
   * Timeout of a load in milliseconds, from the connection to the last byte. Shorter than the handshake timeout, so that
   * clients waiting for the first load are answered. @default 3000
   */
  timeoutMs?: number | undefined;
}

/** Throws or rejects if the signature is invalid; with a GatewayError if that cannot be determined. */
export type CheckSignature = (token: string) => unknown;

/** Algorithms supported by a key source; empty for an unknown kind of public key. */
export function algorithmsOf(source: TokenKeySource): TokenAlgorithm[] {
  if (source.type === "secret") return ["HS256"];
  if (source.type === "jwks") return ["RS256", "ES256", "EdDSA"];
  const found = publicKeysIn(source.pem).map(algorithmOfKey);
  return found.every((one) => one !== undefined) ? [...new Set(found)] : [];
}

const publicKeyBlock = /-----BEGIN (RSA )?PUBLIC KEY-----[^-]*-----END \1PUBLIC KEY-----/g;

/** Throws if one is invalid. Of a certificate and its chain, only the first is a key of the issuer. */
export function publicKeysIn(pem: string): KeyObject[] {
  const blocks = pem.includes("CERTIFICATE") ? undefined : pem.match(publicKeyBlock);
  return (blocks ?? [pem]).map((block) => createPublicKey(block));
}

/** Required by RFC 7518; shorter RSA keys can be factored. */
const minRsaBits = 2_048;

/** The algorithm of a public key: RSA of at least 2048 bits, P-256 or Ed25519. */
export function algorithmOfKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): TokenAlgorithm | undefined {
  if (asymmetricKeyType === "ed25519") return "EdDSA";
  if (asymmetricKeyType === "ec") return asymmetricKeyDetails?.namedCurve === "prime256v1" ? "ES256" : undefined;
  if (asymmetricKeyType !== "rsa") return undefined;
  return (asymmetricKeyDetails?.modulusLength ?? 0) >= minRsaBits ? "RS256" : undefined;
}
