import { GatewayError } from "../protocol/errors.ts";
import { isName, kindOf } from "../protocol/names.ts";

export interface HistoryOptions {
  /** Max publications in a channel's log. */
  size: number;
  /** Seconds the log is kept after its last publication; 0 for no log. */
  ttlSeconds: number;
  /** Texts are also kept joined into one, as the snapshot of the channel (`publish.lua`). */
  isJoined?: true;
}

/**
 * Who may subscribe or publish: anyone authenticated, anyone with a grant, a role, whoever the app allows, or nobody. Of
 * several rules any is enough; `hook` is asked last.
 */
export type Rule = "public" | "granted" | `role:${string}` | "hook" | "none";

export interface ChannelKindOptions {
  /** Of built-in kinds: in addition to their own rule. @default "none" */
  subscribe: readonly Rule[];
  /** For clients; backends may always publish. @default "none" */
  publish: readonly Rule[];
  /** @default false */
  presence: boolean;
  /** Channels of this kind have keyed state (`state/`). @default false */
  state: boolean;
  /** @default { size: 100, ttlSeconds: 300 } */
  history: HistoryOptions;
  /**
   * Milliseconds within which a subscriber receives only the latest publication; 0 delivers all. The same for changes of a
   * key of the state, for which it is 50 if it is 0 here. @default 0
   */
  conflateMs: number;
  /** `event` delivers publications under their own event name instead of as `publication`. @default "publication" */
  deliver: "publication" | "event";
  /** `append` joins publications whose data is a text: a subscriber without a position gets one text, then what follows. */
  merge?: "append";
}

/** Settings of a kind in the configuration. */
export type ChannelKindSettings = {
  [K in Exclude<keyof ChannelKindOptions, "subscribe" | "publish">]?: ChannelKindOptions[K] | undefined;
} & { [K in "subscribe" | "publish"]?: Rule | readonly Rule[] | undefined };

export const kindDefaults: ChannelKindOptions = {
  subscribe: ["none"],
  publish: ["none"],
  presence: false,
  state: false,
  history: { size: 100, ttlSeconds: 300 },
  conflateMs: 0,
  deliver: "publication",
};

/** Exists without configuration. */
const staffKind = { subscribe: "role:staff", publish: "none" } as const;

/** Built-in kinds, whose own rules are in `permissions.ts`; configuration may add rules and change the rest. */
const builtIn: Record<string, ChannelKindSettings> = {
  user: { history: { size: 256, ttlSeconds: 3_600 } },
  order: { history: { size: 100, ttlSeconds: 3_600 } },
  orders: { history: { size: 100, ttlSeconds: 3_600 } },
  leaderboard: { history: { size: 100, ttlSeconds: 60 } },
  rank: { history: { size: 10, ttlSeconds: 60 } },
};

export interface Kinds {
  /** Options of the channel's kind. Throws `unknown_channel` if the kind is not configured. */
  of(channel: string): ChannelKindOptions;
  /** Whether a room is named as a channel of a configured or built-in kind. Rooms of Socket.IO may also be numbers. */
  has(room: unknown): boolean;
  /** Whether the app may be asked before a client does this. */
  asksApp(action: string, channel: string): boolean;
}

export function createKinds(settings: Readonly<Record<string, ChannelKindSettings>>): Kinds {
  const kinds = new Map<string, ChannelKindOptions>();
  for (const [kind, options] of Object.entries(builtIn)) {
    kinds.set(kind, withDefaults({ ...options, ...settings[kind] }));
  }
  for (const [kind, options] of Object.entries({ ...settings, staff: { ...staffKind, ...settings.staff } })) {
    if (!kinds.has(kind)) kinds.set(kind, withDefaults(options));
  }
  return {
    of(channel) {
      const options = kinds.get(kindOf(channel));
      if (options === undefined) throw new GatewayError("unknown_channel", undefined, { field: "channel" });
      return options;
    },
    has: (room) => isName(room) && room.includes(":") && kinds.has(kindOf(room)),
    asksApp(action, channel) {
      const rules = action === "subscribe" || action === "publish" ? kinds.get(kindOf(channel))?.[action] : undefined;
      return rules?.includes("hook") === true;
    },
  };
}

const rulesOf = (rules: Rule | readonly Rule[] | undefined): readonly Rule[] | undefined =>
  typeof rules === "string" ? [rules] : rules;

function withDefaults(settings: ChannelKindSettings): ChannelKindOptions {
  const history = settings.history ?? kindDefaults.history;
  return {
    subscribe: rulesOf(settings.subscribe) ?? kindDefaults.subscribe,
    publish: rulesOf(settings.publish) ?? kindDefaults.publish,
    presence: settings.presence ?? kindDefaults.presence,
    state: settings.state ?? kindDefaults.state,
    history: settings.merge === "append" ? { ...history, isJoined: true } : history,
    conflateMs: settings.conflateMs ?? kindDefaults.conflateMs,
    deliver: settings.deliver ?? kindDefaults.deliver,
    ...(settings.merge !== undefined && { merge: settings.merge }),
  };
}

/**
 * A new epoch: 48 random bits. Created for every publication although few start an epoch, so it must be cheap; it
 * need not be unpredictable.
 */
export const freshEpoch = (): string => threeBytes() + threeBytes();

/** Small integers are formatted six times faster than larger numbers. */
const threeBytes = (): string =>
  Math.floor(Math.random() * 2 ** 24)
    .toString(16)
    .padStart(6, "0");
