import { isName } from "../protocol/names.ts";
import { maxGrants } from "../protocol/sessions.ts";
import { digestOf, isSessionOf, sessionIdFor } from "./session-id.ts";
import { isObject } from "./strict-json.ts";
import type { ClaimNames } from "./token-options.ts";

/** Max bytes of the public part of a session taken from a claim. */
const maxInfoBytes = 4_096;

/**
 * The payload with roles, channels and info from the configured claims. Values that are no roles or grants are left out:
 * what a provider puts into its tokens must not lock its users out.
 */
export function withMappedClaims(payload: Record<string, unknown>, names: ClaimNames): Record<string, unknown> {
  const { roles, channels, info } = names;
  return {
    ...payload,
    ...(roles !== undefined && { roles: toRoles(claimAt(payload, roles)) }),
    ...(channels !== undefined && { channels: toObject(claimAt(payload, channels)) }),
    ...(info !== undefined && { info: toInfo(claimAt(payload, info)) }),
  };
}

/**
 * The payload of an identity provider's token with the claims that ours have: the session's id is derived from `sid` or
 * `session_id`, else from `sub` and `iat`, and a missing `jti` from both.
 */
export function withSessionClaims(payload: Record<string, unknown>): Record<string, unknown> {
  const { sub, sid, session_id: sessionId, jti, iat } = payload;
  if (!isName(sub) || (isName(sid) && isSessionOf(sub, sid))) return { ...payload, isAdopted: false };
  const providerSessionId = [sid, sessionId].find(isName);
  const digest = digestOf(providerSessionId ?? `${sub} ${String(iat)}`);
  const derived = sessionIdFor(sub, digest);
  const tokenId = isName(jti) ? jti : `${derived}.${String(iat)}`;
  return { ...payload, sid: derived, jti: tokenId, isAdopted: true, providerSessionId };
}

/** A claim of this name, else the nested one that the dots lead to. */
function claimAt(payload: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const step of name.split(".")) {
    if (!isObject(value) || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}

/** A list, or words in one string, such as a `scope`. */
function toRoles(value: unknown): string[] | undefined {
  const list: unknown[] = typeof value === "string" ? value.split(" ") : Array.isArray(value) ? value : [];
  const roles = list.filter(isName).slice(0, maxGrants);
  return roles.length === 0 ? undefined : roles;
}

const toObject = (value: unknown): Record<string, unknown> | undefined => (isObject(value) ? value : undefined);

function toInfo(value: unknown): Record<string, unknown> | undefined {
  const info = toObject(value);
  return info !== undefined && Buffer.byteLength(JSON.stringify(info)) <= maxInfoBytes ? info : undefined;
}
