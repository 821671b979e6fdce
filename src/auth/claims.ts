import { isName } from "../protocol/names.ts";
import { maxGrants } from "../protocol/sessions.ts";
import type { ChannelGrants } from "./identity.ts";
import { isObject } from "./strict-json.ts";

/** What a token says, in the house's words. Times are epoch milliseconds. */
export interface TokenClaims {
  userId: string;
  sessionId: string;
  tokenId: string;
  issuedAt: number;
  expiresAt: number;
  /** Undefined where the token does not say; then its session does. */
  roles: readonly string[] | undefined;
  channels: ChannelGrants | undefined;
}

export interface ClaimRules {
  issuer: string | undefined;
  audience: string | undefined;
  maxLifeSeconds: number;
  clockToleranceSeconds: number;
}

const maxAudiences = 16;

/**
 * Judges the payload of a token whose signature was right: undefined where anything in it is missing, of the wrong type
 * or against the rules. That it has expired is not judged here: only an otherwise valid token may be called expired.
 */
export function readClaims(payload: Record<string, unknown>, rules: ClaimRules, now: number): TokenClaims | undefined {
  const { sub, sid, jti, iat, exp } = payload;
  if (!isName(sub) || !isName(sid) || !isName(jti)) return undefined;
  if (!isFiniteNumber(iat) || !isFiniteNumber(exp) || !Number.isSafeInteger(exp)) return undefined;
  if (!hasGoodTimes(payload, iat, exp, rules, now)) return undefined;
  if (!hasGoodIssuer(payload.iss, rules) || !hasGoodAudience(payload.aud, rules)) return undefined;
  if (!isOptional(payload.roles, isNames) || !isOptional(payload.channels, isGrants)) return undefined;
  return {
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    issuedAt: Math.floor(iat * 1_000),
    expiresAt: exp * 1_000,
    roles: payload.roles,
    channels: payload.channels === undefined ? undefined : toGrants(payload.channels),
  };
}

function hasGoodTimes(
  { nbf }: Record<string, unknown>,
  iat: number,
  exp: number,
  { maxLifeSeconds, clockToleranceSeconds }: ClaimRules,
  now: number,
): boolean {
  const latest = now / 1_000 + clockToleranceSeconds;
  const hasBegun = nbf === undefined || (isFiniteNumber(nbf) && nbf <= latest);
  return hasBegun && iat <= latest && exp > iat && exp - iat <= maxLifeSeconds;
}

function hasGoodIssuer(iss: unknown, { issuer }: ClaimRules): boolean {
  return issuer === undefined ? isOptional(iss, isString) : iss === issuer;
}

/** RFC 7519: one string or a list; ours must be in it. */
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

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= maxGrants && value.every(isName);
}

type PartialGrants = { subscribe?: string[]; publish?: string[] };

/** An unknown field is refused: a misspelled grant should not pass for one that was not given. */
function isGrants(value: unknown): value is PartialGrants {
  if (!isObject(value)) return false;
  const { subscribe, publish, ...others } = value;
  return isOptional(subscribe, isNames) && isOptional(publish, isNames) && Object.keys(others).length === 0;
}

const toGrants = ({ subscribe = [], publish = [] }: PartialGrants): ChannelGrants => ({ subscribe, publish });
