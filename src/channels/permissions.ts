import { GatewayError, isTemporary } from "../protocol/errors.ts";
import { builtInKinds, kindOf, matchesPattern, subjectOf } from "../protocol/names.ts";
import type { Kinds, Rule } from "./kinds.ts";

/** The user whose permissions are checked. */
export interface Principal {
  readonly userId: string;
  readonly roles?: readonly string[] | undefined;
  /** Patterns granted by the session or token. */
  readonly channels: { readonly subscribe: readonly string[]; readonly publish: readonly string[] };
  /** Channels granted by name, whatever the rules of their kind. */
  readonly granted?: readonly string[] | undefined;
  /** Channels granted by subscription tokens. */
  readonly channelTokens?: ReadonlyMap<string, ChannelToken> | undefined;
}

/** What a subscription token grants for its channel. */
export interface ChannelToken {
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  readonly mayPublish: boolean;
}

export type ChannelAction = "subscribe" | "publish";

/** Asks the app. Resolves with true if it allows the action; throws a temporary GatewayError if it does not answer. */
export type AskApp = (action: ChannelAction, principal: Principal, channel: string) => Promise<boolean>;

/** Own rule of a built-in kind: may `principal` subscribe to the channel about `subject`? */
type BuiltInRule = (principal: Principal, subject: string) => boolean | Promise<boolean>;

export interface Permissions {
  /** Resolves, or throws `forbidden` or `unknown_channel`. */
  checkSubscribe(principal: Principal, channel: string): Promise<void>;
  /** Throws `forbidden` or `unknown_channel`; returns a promise only if the app must be asked. */
  checkPublish(principal: Principal, channel: string): Promise<void> | undefined;
}

export interface PermissionsDeps {
  kinds: Kinds;
  /** True if the user is a party of the order. The same for a foreign and an unknown order. */
  mayReadOrder: (orderId: string, userId: string) => Promise<boolean>;
  /** Without an app `hook` refuses. */
  askApp?: AskApp | undefined;
}

export function createPermissions({ kinds, mayReadOrder, askApp }: PermissionsDeps): Permissions {
  const builtIn = new Map<string, BuiltInRule>([
    ["user", (principal, subject) => subject === principal.userId],
    ["orders", (principal, subject) => subject === principal.userId],
    ["order", (principal, subject) => mayReadOrder(subject, principal.userId)],
    ["leaderboard", (_principal, subject) => subject !== ""],
    ["rank", (principal, subject) => rankUser(subject) === principal.userId],
  ]);

  /** Clients only learn `forbidden`; the reason is for operators. */
  function forbidden(action: ChannelAction, channel: string): GatewayError {
    const words = JSON.stringify(kinds.of(channel)[action]);
    const own = action === "subscribe" && builtIn.has(kindOf(channel));
    const detail = own
      ? `${kindOf(channel)}: only the users whom the channel is about, or ${words}`
      : `channels.${kindOf(channel)}.${action} is ${words}`;
    return new GatewayError("forbidden", undefined, {
      field: "channel",
      reason: { rule: own ? "channel_owner" : "grant", detail },
    });
  }

  async function checkHook(action: ChannelAction, principal: Principal, channel: string): Promise<void> {
    if (askApp !== undefined && (await askApp(action, principal, channel))) return;
    const detail = askApp === undefined ? "no app is configured" : `the app refused to ${action}`;
    throw new GatewayError("forbidden", undefined, { field: "channel", reason: { rule: "hook", detail } });
  }

  return {
    async checkSubscribe(principal, channel) {
      const rules = kinds.of(channel).subscribe;
      if (isGrantedByName(principal, channel)) return;
      const needsSubject = kindsWithSubject.has(kindOf(channel)) && subjectOf(channel) === "";
      if (!needsSubject && isAllowed(rules, "subscribe", principal, channel)) return;
      const own = builtIn.get(kindOf(channel));
      if (own !== undefined && (await own(principal, subjectOf(channel)))) return;
      if (rules.includes("hook")) return checkHook("subscribe", principal, channel);
      throw forbidden("subscribe", channel);
    },

    checkPublish(principal, channel) {
      const rules = kinds.of(channel).publish;
      const isGranted = principal.channelTokens?.get(channel)?.mayPublish === true;
      if (isGranted || isAllowed(rules, "publish", principal, channel)) return undefined;
      if (rules.includes("hook")) return checkHook("publish", principal, channel);
      throw forbidden("publish", channel);
    },
  };
}

/** `order` without an id names no channel. */
const kindsWithSubject: ReadonlySet<string> = new Set([...builtInKinds, "staff"]);

/** Those channels that the principal may not subscribe to. An outage of Redis or the app refuses none. */
export async function refusedChannels(
  permissions: Pick<Permissions, "checkSubscribe">,
  principal: Principal,
  channels: readonly string[],
): Promise<string[]> {
  const refusals = await Promise.all(
    channels.map((channel) => permissions.checkSubscribe(principal, channel).catch((error: unknown) => error)),
  );
  const isRefused = (refusal: unknown): boolean => refusal instanceof GatewayError && !isTemporary(refusal.code);
  return channels.filter((_, index) => isRefused(refusals[index]));
}

const isGrantedByName = ({ granted, channelTokens }: Principal, channel: string): boolean =>
  granted?.includes(channel) === true || channelTokens?.has(channel) === true;

/** By any rule but `hook`. */
function isAllowed(rules: readonly Rule[], action: ChannelAction, principal: Principal, channel: string): boolean {
  const { roles = [], channels } = principal;
  return rules.some((rule) => {
    if (rule === "public") return true;
    if (rule === "granted") return channels[action].some((pattern) => matchesPattern(pattern, channel));
    return rule.startsWith("role:") && roles.includes(rule.slice("role:".length));
  });
}

/**
 * `{board}:{userId}`: the board ends at the first colon; the user may contain colons. A board with a colon in its
 * name has no rank channels, because a user could otherwise name another user's channel.
 */
function rankUser(subject: string): string | undefined {
  const colon = subject.indexOf(":");
  return colon < 1 ? undefined : subject.slice(colon + 1);
}
