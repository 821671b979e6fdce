/**
 * Names of channels, users, boards, members, orders and events. A name has 1 to 256 characters of well-formed text without
 * control characters or line breaks, and is neither `.` nor `..`, which HTTP clients treat as path segments; everything
 * else is allowed, including colons, braces and globs, which `redis/keys.ts` encodes.
 */
export const maxNameLength = 256;

/** The rule of `isName`, for error messages. */
export const nameRule = (maxLength: number = maxNameLength): string =>
  `must have 1 to ${maxLength} characters, no control characters, and be neither "." nor ".."`;

// oxlint-disable-next-line no-control-regex
const forbidden = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/;

/** True for a name as described above. */
export function isName(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= maxNameLength &&
    value !== "." &&
    value !== ".." &&
    !forbidden.test(value) &&
    value.isWellFormed()
  );
}

/** True for the name of a channel, or a pattern: a `*` matches any rest of a name, so it is the last character. */
export const isChannelPattern = (value: unknown): value is string => isName(value) && !value.slice(0, -1).includes("*");

/** True for a name that is still one as the subject of a channel of this kind: `order:{orderId}`. */
export const isSubjectOf = (kind: string, value: unknown): value is string =>
  isName(value) && isName(`${kind}:${value}`);

/** Max length of the part of a channel name after its kind. */
export const maxSubjectLength = (kind: string): number => maxNameLength - kind.length - 1;

/** Built-in kinds. */
export const builtInKinds = ["user", "order", "orders", "leaderboard", "rank"] as const;

/** The part of a channel's name before its first colon; the whole name where there is none. */
export function kindOf(channel: string): string {
  const colon = channel.indexOf(":");
  return colon === -1 ? channel : channel.slice(0, colon);
}

/** The part of a channel's name after its first colon; empty where there is none. */
export function subjectOf(channel: string): string {
  const colon = channel.indexOf(":");
  return colon === -1 ? "" : channel.slice(colon + 1);
}

/** `*` matches the rest of the name; without it the pattern is the name itself. */
export function matchesPattern(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

/** The user's own channel, to which the server subscribes each of the user's connections. */
export const userChannelOf = (userId: string): string => `user:${userId}`;
