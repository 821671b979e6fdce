/**
 * Names that strangers choose: channels, users, boards, members, orders, events. A name is 1 to 256 characters of
 * well-formed text without control characters or line breaks; everything else about it is free (colons, braces and
 * globs too: `redis/keys.ts` keeps them from steering keys).
 */
export const maxNameLength = 256;

// oxlint-disable-next-line no-control-regex
const forbidden = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/;

/** True for a name as described above. */
export function isName(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= maxNameLength &&
    !forbidden.test(value) &&
    value.isWellFormed()
  );
}

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
