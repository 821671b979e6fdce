import type { RefusalRule } from "../protocol/errors.ts";
import { isChannelPattern, isName } from "../protocol/names.ts";
import { maxGrants } from "../protocol/sessions.ts";
import type { ChannelGrants } from "./identity.ts";
import { isObject } from "./strict-json.ts";

/** The claims of a token. Times are epoch milliseconds. */
export interface TokenClaims {
  userId: string;
  sessionId: string;
  tokenId: string;
  issuedAt: number;
  expiresAt: number;
  /** Undefined if the token has none; then its session's apply. */
  roles: readonly string[] | undefined;
  channels: ChannelGrants | undefined;
  info?: Record<string, unknown> | undefined;
  /** True if the session belongs to an identity provider, and begins with the first token. */
  isAdopted?: boolean | undefined;
  /** The id that the provider gave this session, if it did. */
  providerSessionId?: string | undefined;
}

export interface ClaimRules {
  issuer: string | undefined;
  audience: string | undefined;
  maxLifeSeconds: number;
  clockToleranceSeconds: number;
}

const maxAudiences = 16;

/**
 * Reads the payload of a token with a valid signature: undefined if anything is missing, of the wrong type or against the
 * rules. Expiry is not checked here, so that only an otherwise valid token is reported as expired.
 */
export function readClaims(payload: Record<string, unknown>, rules: ClaimRules, now: number): TokenClaims | undefined {
  if (!isChecked(payload, rules, now)) return undefined;
  const { sub, sid, jti, iat, exp, roles, channels } = payload;
  return {
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    issuedAt: Math.floor(iat * 1_000),
    expiresAt: exp * 1_000,
    roles,
    channels: channels === undefined ? undefined : toGrants(channels),
  };
}

const isChecked = (
  payload: Record<string, unknown>,
  rules: ClaimRules,
  now: number,
): payload is Record<string, unknown> & CheckedPayload => claimFault(payload, rules, now) === undefined;

interface CheckedPayload {
  sub: string;
  sid: string;
  jti: string;
  iat: number;
  exp: number;
  roles: string[] | undefined;
  channels: PartialGrants | undefined;
}

/** The first rule that a payload breaks, for operators; undefined if it breaks none. */
export function claimFault(payload: Record<string, unknown>, rules: ClaimRules, now: number): RefusalRule | undefined {
  const { sub, sid, jti, iat, exp, iss, aud, roles, channels } = payload;
  if (!isName(sub)) return "claim_sub";
  if (!isName(sid)) return "claim_sid";
  if (!isName(jti)) return "claim_jti";
  if (!isFiniteNumber(iat)) return "claim_iat";
  if (!isFiniteNumber(exp) || !Number.isSafeInteger(exp)) return "claim_exp";
  const fault = timeFault(payload, iat, exp, rules, now);
  if (fault !== undefined) return fault;
  if (!hasGoodIssuer(iss, rules)) return "claim_iss";
  if (!hasGoodAudience(aud, rules)) return "claim_aud";
  if (!isOptional(roles, isNames)) return "claim_roles";
  return isOptional(channels, isGrants) ? undefined : "claim_channels";
}

/** A JWT of the gateway's keys that says `sub`, `channel` and `exp`, and perhaps `publish: true`. */
export interface SubscriptionToken {
  userId: string;
  channel: string;
  /** Epoch milliseconds. */
  expiresAt: number;
  mayPublish: boolean;
}

/** The payload of a subscription token with a valid signature; undefined if it is none. Expiry is not checked here. */
export function readSubscription(
  payload: Record<string, unknown>,
  rules: ClaimRules,
  now: number,
): SubscriptionToken | undefined {
  const { sub, channel, exp, iat = now / 1_000, publish = false, iss = rules.issuer, aud = rules.audience } = payload;
  if (!isName(sub) || !isName(channel) || channel.includes("*")) return undefined;
  if (!isFiniteNumber(exp) || !Number.isSafeInteger(exp) || !isFiniteNumber(iat)) return undefined;
  if (typeof publish !== "boolean") return undefined;
  // An expired token is told apart only if everything else is right.
  if (timeFault(payload, iat, exp, rules, now) !== undefined) return undefined;
  if (!hasGoodIssuer(iss, rules) || !hasGoodAudience(aud, rules)) return undefined;
  return { userId: sub, channel, expiresAt: exp * 1_000, mayPublish: publish };
}

function timeFault(
  { nbf }: Record<string, unknown>,
  iat: number,
  exp: number,
  { maxLifeSeconds, clockToleranceSeconds }: ClaimRules,
  now: number,
): RefusalRule | undefined {
  const latest = now / 1_000 + clockToleranceSeconds;
  if (nbf !== undefined && !(isFiniteNumber(nbf) && nbf <= latest)) return "claim_nbf";
  if (iat > latest) return "claim_iat";
  // What has ended is `token_expired`, also if it was issued after its end, as libraries sign one with a negative lifetime.
  if (exp <= 0 || (exp <= iat && exp * 1_000 > now)) return "claim_exp";
  return exp - iat <= maxLifeSeconds ? undefined : "lifetime";
}

function hasGoodIssuer(iss: unknown, { issuer }: ClaimRules): boolean {
  return issuer === undefined ? isOptional(iss, isString) : iss === issuer;
}

/** RFC 7519: one string or a list, which must contain ours. */
function hasGoodAudience(aud: unknown, { audience }: ClaimRules): boolean {
  if (aud === undefined) return audience === undefined;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  if (audiences.length > maxAudiences || !audiences.every(isString)) return false;
  return audience === undefined || audiences.includes(audience);
}

function isOptional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value);
}

const isString = (value: unknown): value is string => typeof value === "string";
const isFiniteNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

const isList = (value: unknown): value is unknown[] => Array.isArray(value) && value.length <= maxGrants;
const isNames = (value: unknown): value is string[] => isList(value) && value.every(isName);
const isPatterns = (value: unknown): value is string[] => isList(value) && value.every(isChannelPattern);

type PartialGrants = { subscribe?: string[]; publish?: string[] };

/** Unknown fields are refused, so that a misspelled grant is not mistaken for a missing one. */
function isGrants(value: unknown): value is PartialGrants {
  if (!isObject(value)) return false;
  const { subscribe, publish, ...others } = value;
  return isOptional(subscribe, isPatterns) && isOptional(publish, isPatterns) && Object.keys(others).length === 0;
}

const toGrants = ({ subscribe = [], publish = [] }: PartialGrants): ChannelGrants => ({ subscribe, publish });
