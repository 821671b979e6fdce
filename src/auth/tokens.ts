import { randomBytes } from "node:crypto";
import { GatewayError, type RefusalReason } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import {
  claimFault,
  readClaims,
  type ClaimRules,
  type TokenClaims,
  readSubscription,
  type SubscriptionToken,
} from "./claims.ts";
import type { ChannelGrants } from "./identity.ts";
import { createKeySet, type KeySet } from "./key-set.ts";
import { withMappedClaims, withSessionClaims } from "./provider-claims.ts";
import { createSignatureCheck, createSigner } from "./signatures.ts";
import { isObject, readStrictObject } from "./strict-json.ts";
import { createTokenFormReader } from "./token-form.ts";
import {
  tokenDefaults,
  algorithmsOf,
  type CheckSignature,
  type TokenAlgorithm,
  type TokenOptions,
} from "./token-options.ts";

/**
 * Verifies and signs tokens. The libraries only check signatures; headers (`token-form.ts`) and payloads (`claims.ts`) are
 * checked here in the same way for every kind of key. A refusal does not contain the reason or any part of the token.
 */
export interface Tokens {
  /** Throws `unauthorized`, `token_expired` for an otherwise valid token, `unavailable` where keys cannot be fetched. */
  verify(token: unknown): Promise<TokenClaims>;
  /** The same, but accepts expired tokens, for revoking them. */
  read(token: unknown): Promise<TokenClaims>;
  /** Reads a token that lets its user into one channel. Throws `unauthorized`, `token_expired` or `unavailable`. */
  verifySubscription(token: string): Promise<SubscriptionToken>;
  /** False if keys cannot be fetched, so that currently no token can be verified. Does not wait. */
  hasKeys(): boolean;
  /** Undefined if the gateway has no signing key, as with a public key or a JWKS. */
  issue(subject: TokenGrant): IssuedToken | undefined;
}

type Payload = Record<string, unknown>;

export interface TokenGrant {
  userId: string;
  sessionId: string;
  roles: readonly string[];
  channels: ChannelGrants;
  /** Epoch milliseconds; the token ends then at the latest. */
  sessionExpiresAt: number;
}

export interface IssuedToken {
  token: string;
  tokenId: string;
  /** Epoch milliseconds. */
  expiresAt: number;
}

/** Throws a plain Error if the options are invalid, so that a node does not start with them. */
export function createTokens(options: TokenOptions, deps: { clock: Clock; log?: Logger | undefined }): Tokens {
  const { clock } = deps;
  const algorithms = pinnedAlgorithms(options);
  const rules = claimRules(options);
  const readForm = createTokenFormReader();
  const keySet = keySetOf(options, algorithms, deps);
  const checkSignature = keySet?.check ?? createSignatureCheck(options.source, algorithms);

  /** A promise only if the signature is not checked at once: a handshake has many awaits already. */
  function payloadOf(token: unknown): Payload | Promise<Payload> {
    const form = typeof token === "string" ? readForm(token) : undefined;
    if (form === undefined) throw unauthorized({ rule: "malformed", detail: malformation(token) });
    if (!algorithms.some((algorithm) => algorithm === form.algorithm))
      throw unauthorized({ rule: "algorithm", detail: `accepted: ${algorithms.join(", ")}` });
    const pending = assertSignature(checkSignature, token as string);
    return pending === undefined ? writtenIn(form.payload) : pending.then(() => writtenIn(form.payload));
  }

  function claimsIn(written: Payload): TokenClaims {
    const payload = toOwnClaims(written, options);
    const now = clock.now();
    const claims = readClaims(payload, rules, now);
    if (claims === undefined) throw unauthorized(claimReason(payload, rules, now));
    return { ...claims, ...providerClaimsOf(payload, options) };
  }

  function claimsOf(token: unknown): TokenClaims | Promise<TokenClaims> {
    const written = payloadOf(token);
    return written instanceof Promise ? written.then(claimsIn) : claimsIn(written);
  }

  return {
    read: async (token) => claimsOf(token),
    hasKeys: () => keySet?.hasKeys() ?? true,
    async verify(token) {
      const read = claimsOf(token);
      const claims = read instanceof Promise ? await read : read;
      if (claims.expiresAt <= clock.now()) throw tokenExpired(claims, clock.now());
      return claims;
    },
    async verifySubscription(token) {
      const grant = readSubscription(await payloadOf(token), rules, clock.now());
      if (grant === undefined) throw unauthorized({ rule: "subscription_token" });
      if (grant.expiresAt <= clock.now()) throw new GatewayError("token_expired");
      return grant;
    },
    issue: createIssue(options, clock),
  };
}

/** The claims of ours that a provider's token has in another form. */
function toOwnClaims(payload: Record<string, unknown>, { adopt, claims }: TokenOptions): Record<string, unknown> {
  const mapped = claims === undefined ? payload : withMappedClaims(payload, claims);
  // A subscription token says `channel`, and lets nobody sign in.
  return adopt === true && mapped.channel === undefined ? withSessionClaims(mapped) : mapped;
}

function providerClaimsOf(payload: Record<string, unknown>, { adopt, claims }: TokenOptions): Partial<TokenClaims> {
  return {
    ...(claims?.info !== undefined && isObject(payload.info) && { info: payload.info }),
    ...(adopt === true && payload.isAdopted === true && adoption(payload)),
  };
}

const adoption = ({ providerSessionId }: Record<string, unknown>): Partial<TokenClaims> =>
  typeof providerSessionId === "string" ? { isAdopted: true, providerSessionId } : { isAdopted: true };

const unauthorized = (reason: RefusalReason): GatewayError => new GatewayError("unauthorized", undefined, { reason });

const malformation = (token: unknown): string =>
  typeof token === "string" ? "not a JWT" : token === undefined ? "no token was sent" : "the token is not a string";

/** Names the claim that is wrong, and how far the issuer's clock is ahead, but no value of a claim. */
function claimReason(payload: Record<string, unknown>, rules: ClaimRules, now: number): RefusalReason {
  const rule = claimFault(payload, rules, now) ?? "malformed";
  const time = rule === "claim_iat" ? payload.iat : rule === "claim_nbf" ? payload.nbf : undefined;
  const ahead = typeof time === "number" ? `${secondsOf(time * 1_000 - now)} in the future` : undefined;
  return { rule, detail: ahead };
}

function tokenExpired({ userId, sessionId, expiresAt }: TokenClaims, now: number): GatewayError {
  const detail = `expired ${secondsOf(now - expiresAt)} ago`;
  return new GatewayError("token_expired", undefined, { reason: { rule: "expired", detail, userId, sessionId } });
}

const secondsOf = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

function writtenIn(payload: string): Payload {
  const written = readStrictObject(payload);
  if (written === undefined) throw unauthorized({ rule: "malformed", detail: "the payload is not a JSON object" });
  return written;
}

/** Undefined once the signature was checked and is valid. */
function assertSignature(checkSignature: CheckSignature, token: string): Promise<unknown> | undefined {
  try {
    const pending = checkSignature(token);
    return pending instanceof Promise ? pending.catch(refuseSignature) : undefined;
  } catch (error) {
    return refuseSignature(error);
  }
}

/** Errors of the libraries may quote the token, so only GatewayErrors are passed on. */
function refuseSignature(error: unknown): never {
  throw error instanceof GatewayError ? error : unauthorized({ rule: "signature" });
}

function pinnedAlgorithms({ source, algorithms }: TokenOptions): readonly TokenAlgorithm[] {
  if (source.type === "public-key" && source.pem.includes("PRIVATE KEY")) {
    throw new Error("the key for verifying tokens must be a public key");
  }
  const possible = algorithmsOf(source);
  const pinned = algorithms ?? possible;
  if (pinned.length > 0 && pinned.every((algorithm) => possible.includes(algorithm))) return pinned;
  throw new Error(`this key supports only these algorithms: ${possible.join(", ") || "none"}`);
}

/** With defaults. */
const livesOf = ({
  tokenTtlSeconds = tokenDefaults.tokenTtlSeconds,
  maxLifeSeconds = tokenDefaults.maxLifeSeconds,
  clockToleranceSeconds = tokenDefaults.clockToleranceSeconds,
}: TokenOptions) => ({ tokenTtlSeconds, maxLifeSeconds, clockToleranceSeconds });

function claimRules(options: TokenOptions): ClaimRules {
  const { issuer, audience } = options;
  const { maxLifeSeconds, clockToleranceSeconds } = livesOf(options);
  if (!(maxLifeSeconds > 0) || !(clockToleranceSeconds >= 0 && clockToleranceSeconds <= 5)) {
    throw new Error("maxLifeSeconds must be greater than 0, clockToleranceSeconds between 0 and 5");
  }
  return { issuer, audience, maxLifeSeconds, clockToleranceSeconds };
}

function keySetOf(
  { source, jwks = {} }: TokenOptions,
  algorithms: readonly TokenAlgorithm[],
  deps: { clock: Clock; log?: Logger | undefined },
): KeySet | undefined {
  return source.type === "jwks" ? createKeySet(new URL(source.uri), jwks, algorithms, deps) : undefined;
}

function createIssue(options: TokenOptions, clock: Clock): Tokens["issue"] {
  const { source, issuer, audience } = options;
  const { tokenTtlSeconds, maxLifeSeconds } = livesOf(options);
  if (source.type !== "secret") return () => undefined;
  const sign = createSigner(source.secret);
  const ttlSeconds = Math.min(tokenTtlSeconds, maxLifeSeconds);
  const common = { ...(issuer !== undefined && { iss: issuer }), ...(audience !== undefined && { aud: audience }) };

  return (subject) => {
    const iat = Math.floor(clock.now() / 1_000);
    const exp = Math.min(iat + ttlSeconds, Math.ceil(subject.sessionExpiresAt / 1_000));
    const jti = randomBytes(16).toString("base64url");
    const payload = { ...claimsOf(subject), ...common, jti, iat, exp };
    return {
      token: sign(payload),
      tokenId: jti,
      expiresAt: exp * 1_000,
    };
  };
}

function claimsOf({ userId, sessionId, roles, channels }: TokenGrant): Record<string, unknown> {
  const claims: Record<string, unknown> = { sub: userId, sid: sessionId };
  if (roles.length > 0) claims.roles = roles;
  if (channels.subscribe.length + channels.publish.length > 0) claims.channels = channels;
  return claims;
}
