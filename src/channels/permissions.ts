import { GatewayError, isTemporary } from "../protocol/errors.ts";
import { builtInKinds, kindOf, matchesPattern, subjectOf } from "../protocol/names.ts";
import type { Kinds, Rule } from "./kinds.ts";
import type { PublishRequest } from "./publication.ts";
import type { Subscriber } from "./subscribers.ts";

/** The user whose permissions are checked. */
export interface Principal {
  readonly userId: string;
  readonly sessionId?: string | undefined;
  /** Public part of the session. */
  readonly info?: Record<string, unknown> | undefined;
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

/** What an app is asked. */
export interface AppQuestion {
  action: ChannelAction;
  principal: Principal;
  channel: string;
  /** The subscriber that wants to subscribe or publish; undefined if nobody is connected, as if an operator asks. */
  subscriber?: Subscriber | undefined;
  publication?: Pick<PublishRequest, "event" | "data"> | undefined;
}

/**
 * Asks the app. Resolves if it allows the action, with the data that replaces the publication's. Throws its refusal, and a
 * temporary GatewayError if it does not answer.
 */
export type AskApp = (question: AppQuestion) => Promise<string | undefined>;

/** What let a principal in: a rule of the gateway, a record in Redis, which may change while the channel is read, or the app. */
export type DecidedBy = "rule" | "record" | "hook";

/** Own rule of a built-in kind. */
interface BuiltInRule {
  readonly decidedBy: Exclude<DecidedBy, "hook">;
  /** May `principal` subscribe to the channel about `subject`? */
  allows(principal: Principal, subject: string): boolean | Promise<boolean>;
}

export interface Permissions {
  /** Resolves, or throws `forbidden` or `unknown_channel`, or what the app refuses with. */
  checkSubscribe(principal: Principal, channel: string, subscriber?: Subscriber): Promise<DecidedBy>;
  /** Throws like `checkSubscribe`; returns a promise only if the app is asked, which may change the data. */
  checkPublish(
    principal: Principal,
    channel: string,
    more?: Pick<AppQuestion, "subscriber" | "publication">,
  ): ReturnType<AskApp> | undefined;
}

export interface PermissionsDeps {
  kinds: Kinds;
  /** True if the user is a party of the order. The same for a foreign and an unknown order. */
  mayReadOrder: (orderId: string, userId: string) => Promise<boolean>;
  /** Without an app `hook` refuses. */
  askApp?: AskApp | undefined;
}

export function createPermissions({ kinds, mayReadOrder, askApp }: PermissionsDeps): Permissions {
  const own: BuiltInRule = { decidedBy: "rule", allows: ({ userId }, subject) => subject === userId };
  const builtIn = new Map<string, BuiltInRule>([
    ["user", own],
    ["orders", own],
    ["order", { decidedBy: "record", allows: ({ userId }, subject) => mayReadOrder(subject, userId) }],
    ["leaderboard", { decidedBy: "rule", allows: (_principal, subject) => subject !== "" }],
    ["rank", { decidedBy: "rule", allows: ({ userId }, subject) => rankUser(subject) === userId }],
  ]);

  /** Clients only learn `forbidden`; the reason is for operators. */
  function forbidden(action: ChannelAction, channel: string): GatewayError {
    const words = JSON.stringify(kinds.of(channel)[action]);
    const isOwners = action === "subscribe" && builtIn.has(kindOf(channel));
    const detail = isOwners
      ? `${kindOf(channel)}: only the users whom the channel is about, or ${words}`
      : `channels.${kindOf(channel)}.${action} is ${words}`;
    return new GatewayError("forbidden", undefined, {
      field: "channel",
      reason: { rule: isOwners ? "channel_owner" : "grant", detail },
    });
  }

  function askHook(question: AppQuestion): ReturnType<AskApp> {
    if (askApp !== undefined) return askApp(question);
    const reason = { rule: "hook", detail: "no app is configured" } as const;
    throw new GatewayError("forbidden", undefined, { field: "channel", reason });
  }

  return {
    async checkSubscribe(principal, channel, subscriber) {
      const rules = kinds.of(channel).subscribe;
      if (isGrantedByName(principal, channel)) return "rule";
      const needsSubject = kindsWithSubject.has(kindOf(channel)) && subjectOf(channel) === "";
      if (!needsSubject && isAllowed(rules, "subscribe", principal, channel)) return "rule";
      const rule = builtIn.get(kindOf(channel));
      if (rule !== undefined && (await rule.allows(principal, subjectOf(channel)))) return rule.decidedBy;
      if (rules.includes("hook")) {
        await askHook({ action: "subscribe", principal, channel, subscriber });
        return "hook";
      }
      throw forbidden("subscribe", channel);
    },

    checkPublish(principal, channel, more) {
      const rules = kinds.of(channel).publish;
      const isGranted = principal.channelTokens?.get(channel)?.mayPublish === true;
      if (isGranted || isAllowed(rules, "publish", principal, channel)) return undefined;
      if (rules.includes("hook")) return askHook({ action: "publish", principal, channel, ...more });
      throw forbidden("publish", channel);
    },
  };
}

/** `order` without an id names no channel. */
const kindsWithSubject: ReadonlySet<string> = new Set([...builtInKinds, "staff"]);

/** Rejects if the principal may not subscribe to one of the channels. Resolves with those that a record decided about. */
export async function checkChannels(
  { permissions }: { permissions: Pick<Permissions, "checkSubscribe"> },
  principal: Principal,
  subscriber: Subscriber,
  channels: readonly string[],
): Promise<string[]> {
  const check = (channel: string) => permissions.checkSubscribe(principal, channel, subscriber);
  const decided = await Promise.all(channels.map(check));
  return channels.filter((_, index) => decided[index] === "record");
}

/** What only subscribers may read. A right that a record gave is checked again after the reading, because it may have ended. */
export async function readAllowed<T>(
  { checkSubscribe }: Pick<Permissions, "checkSubscribe">,
  principal: Principal,
  channel: string,
  subscriber: Subscriber | undefined,
  read: () => Promise<T>,
): Promise<T> {
  const decidedBy = await checkSubscribe(principal, channel, subscriber);
  const found = await read();
  if (decidedBy === "record") await checkSubscribe(principal, channel, subscriber);
  return found;
}

/** The request if it is allowed, as the app may have changed it. A promise only if the app is asked. */
export function allowPublication(
  permissions: Pick<Permissions, "checkPublish">,
  principal: Principal,
  request: PublishRequest,
  subscriber: Subscriber | undefined,
): Promise<PublishRequest> | PublishRequest {
  const pending = permissions.checkPublish(principal, request.channel, { subscriber, publication: request });
  return pending?.then((data) => ({ ...request, data: data ?? request.data })) ?? request;
}

/** Those channels that the principal may not subscribe to. An outage of Redis or the app refuses none. */
export async function refusedChannels(
  { permissions }: { permissions: Pick<Permissions, "checkSubscribe"> },
  principal: Principal,
  subscriber: Subscriber,
  channels: readonly string[],
): Promise<string[]> {
  const refusals = await Promise.all(
    channels.map((channel) =>
      permissions.checkSubscribe(principal, channel, subscriber).catch((error: unknown) => error),
    ),
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
