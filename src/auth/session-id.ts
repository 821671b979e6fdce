import { createHash, randomBytes } from "node:crypto";

/**
 * A session id is its user's tag, a dot, and 128 random bits. The tag is the hash tag of the session's key and of the
 * user's index, so that one script can change both, also on a Cluster, given only the id.
 */
const form = /^[\w-]{16}\.[\w-]{22}$/;

const tagLength = 16;

export const digestOf = (text: string): string => createHash("sha256").update(text).digest("base64url");

/** 96 bits of the user's digest. */
export const userTagOf = (userId: string): string => digestOf(userId).slice(0, tagLength);

export function createSessionId(userId: string): string {
  return `${userTagOf(userId)}.${randomBytes(16).toString("base64url")}`;
}

/** The id of a user's session that exists elsewhere; `digest` is at least 22 characters of base64url. */
export const sessionIdFor = (userId: string, digest: string): string => `${userTagOf(userId)}.${digest.slice(0, 22)}`;

/** The one session of a user's clients that an app has authenticated. */
export const appSessionIdOf = (userId: string): string => sessionIdFor(userId, digestOf(`app\0${userId}`));

/** False for ids that this program cannot have created; they need no lookup. */
export const isSessionId = (id: string): boolean => form.test(id);

/** The tag within an id. */
export const tagOfSession = (sessionId: string): string => sessionId.slice(0, tagLength);

/** True for ids created for this user, whether or not the session still exists. */
export function isSessionOf(userId: string, sessionId: string): boolean {
  return isSessionId(sessionId) && tagOfSession(sessionId) === userTagOf(userId);
}
