import { GatewayError } from "../protocol/errors.ts";
import { kindOf, matchesPattern, subjectOf } from "../protocol/names.ts";
import type { Access, Kinds } from "./kinds.ts";

/** The user whose permissions are checked. */
export interface Principal {
  readonly userId: string;
  readonly roles?: readonly string[] | undefined;
  /** Patterns granted by the session or token. */
  readonly channels: { readonly subscribe: readonly string[]; readonly publish: readonly string[] };
}

/** Rule of a kind that configuration cannot open: may `principal` subscribe to the channel about `subject`? */
export type BuiltInRule = (reader: Principal, subject: string) => boolean | Promise<boolean>;

export interface Permissions {
  /** Resolves, or throws `forbidden` or `unknown_channel`. */
  checkSubscribe(reader: Principal, channel: string): Promise<void>;
  /** For an existing subscription: false if it requires a grant that the token no longer has. */
  isStillGranted(reader: Principal, channel: string): boolean;
  checkPublish(reader: Principal, channel: string): void;
}

export interface PermissionsDeps {
  kinds: Kinds;
  /** True if the user is a party of the order. The same for a foreign and an unknown order. */
  mayReadOrder: (orderId: string, userId: string) => Promise<boolean>;
}

export function createPermissions({ kinds, mayReadOrder }: PermissionsDeps): Permissions {
  const builtIn = new Map<string, BuiltInRule>([
    ["user", (reader, subject) => subject === reader.userId],
    ["orders", (reader, subject) => subject === reader.userId],
    ["order", (reader, subject) => mayReadOrder(subject, reader.userId)],
    ["leaderboard", (_reader, subject) => subject !== ""],
    ["rank", (reader, subject) => rankUser(subject) === reader.userId],
  ]);

  return {
    async checkSubscribe(reader, channel) {
      const rule = builtIn.get(kindOf(channel));
      const isAllowed =
        rule === undefined ? maySubscribe(kinds, reader, channel) : await rule(reader, subjectOf(channel));
      if (!isAllowed) throw rule === undefined ? notGranted("subscribe", kinds, channel) : notOwner(channel);
    },
    isStillGranted: (reader, channel) => builtIn.has(kindOf(channel)) || maySubscribe(kinds, reader, channel),
    checkPublish(reader, channel) {
      if (!isGranted(kinds.of(channel).publish, reader.channels.publish, channel)) {
        throw notGranted("publish", kinds, channel);
      }
    },
  };
}

function notGranted(act: "subscribe" | "publish", kinds: Kinds, channel: string): GatewayError {
  const detail = `channels.${kindOf(channel)}.${act} is ${JSON.stringify(kinds.of(channel)[act])}`;
  return new GatewayError("forbidden", undefined, { field: "channel", reason: { rule: "grant", detail } });
}

function notOwner(channel: string): GatewayError {
  const detail = `${kindOf(channel)}: only the users whom the channel is about`;
  return new GatewayError("forbidden", undefined, { field: "channel", reason: { rule: "channel_owner", detail } });
}

/** For kinds that configuration governs. */
function maySubscribe(kinds: Kinds, { roles = [], channels }: Principal, channel: string): boolean {
  const { subscribe } = kinds.of(channel);
  if (kindOf(channel) === "staff" && subjectOf(channel) !== "" && roles.includes("staff")) return true;
  return isGranted(subscribe, channels.subscribe, channel);
}

function isGranted(access: Access, patterns: readonly string[], channel: string): boolean {
  if (access === "public") return true;
  return access === "granted" && patterns.some((pattern) => matchesPattern(pattern, channel));
}

/**
 * `{board}:{userId}`: the board ends at the first colon; the user may contain colons. A board with a colon in its
 * name has no rank channels, because a user could otherwise name another user's channel.
 */
function rankUser(subject: string): string | undefined {
  const colon = subject.indexOf(":");
  return colon < 1 ? undefined : subject.slice(colon + 1);
}
