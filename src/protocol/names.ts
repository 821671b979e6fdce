/**
 * Names that strangers choose: channels, users, boards, members, orders, events. A name is 1 to 256 characters of
 * well-formed text without control characters or line breaks, and neither `.` nor `..`, which every HTTP client takes
 * for folders of a path; everything else about it is free (colons, braces and globs too: `redis/keys.ts` keeps them from
 * steering keys).
 */
export const maxNameLength = 256;

/** What `isName` asks for, for refusals. */
export const nameRule = (maxLength: number = maxNameLength): string =>
  `must have 1 to ${maxLength} characters, no control characters, and be neither \`.\` nor \`..\``;

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

/** True for a name that is still one as the subject of a channel of this kind: `order:{orderId}`. */
export const isSubjectOf = (kind: string, value: unknown): value is string =>
  isName(value) && isName(`${kind}:${value}`);

/** The longest name that fits behind a kind. */
export const maxSubjectLength = (kind: string): number => maxNameLength - kind.length - 1;

/** Kinds with rules of their own; configuration may tune their history but not who subscribes. */
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

/** The channel of a user's own, which the server subscribes each connection to. */
export const userChannelOf = (userId: string): string => `user:${userId}`;
