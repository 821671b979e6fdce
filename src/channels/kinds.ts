import { GatewayError } from "../protocol/errors.ts";
import { kindOf } from "../protocol/names.ts";

export interface HistoryOptions {
  /** Publications a channel's log keeps. */
  size: number;
  /** Seconds the log outlives its last publication; 0: no log. */
  ttlSeconds: number;
}

/** Who may do a thing with channels of a kind: anyone authenticated, who was granted it by the token, nobody. */
export type Access = "public" | "granted" | "none";

export interface ChannelKindOptions {
  /** @default "none" */
  subscribe: Access;
  /** Publishing by clients; backends may always. @default "none" */
  publish: Access;
  /** @default false */
  presence: boolean;
  /** @default { size: 100, ttlSeconds: 300 } */
  history: HistoryOptions;
  /** Milliseconds within which only the latest publication is sent to a subscriber; 0 sends all. @default 0 */
  conflateMs: number;
}

/** What configuration may say about a kind. */
export type ChannelKindSettings = { [K in keyof ChannelKindOptions]?: ChannelKindOptions[K] | undefined };

const defaults: ChannelKindOptions = {
  subscribe: "none",
  publish: "none",
  presence: false,
  history: { size: 100, ttlSeconds: 300 },
  conflateMs: 0,
};

/** There without being configured; who has the role `staff` may always subscribe. */
const staffKind = { staff: { subscribe: "none", publish: "none" } } as const;

/** Built-in kinds: who subscribes is decided in `permissions.ts`, never by configuration; the rest may be tuned. */
const builtIn: Record<string, ChannelKindSettings> = {
  user: { history: { size: 256, ttlSeconds: 3_600 } },
  order: { history: { size: 100, ttlSeconds: 3_600 } },
  orders: { history: { size: 100, ttlSeconds: 3_600 } },
  leaderboard: { history: { size: 100, ttlSeconds: 60 } },
  rank: { history: { size: 10, ttlSeconds: 60 } },
};

export interface Kinds {
  /** The options of a channel's kind. Throws `unknown_channel` for a kind nobody configured. */
  of(channel: string): ChannelKindOptions;
}

export function createKinds(settings: Readonly<Record<string, ChannelKindSettings>>): Kinds {
  const kinds = new Map<string, ChannelKindOptions>();
  for (const [kind, options] of Object.entries(builtIn)) {
    kinds.set(kind, withDefaults({ ...options, ...settings[kind], subscribe: "none", publish: "none" }));
  }
  for (const [kind, options] of Object.entries({ ...staffKind, ...settings })) {
    if (!kinds.has(kind)) kinds.set(kind, withDefaults(options));
  }
  return {
    of(channel) {
      const options = kinds.get(kindOf(channel));
      if (options === undefined) throw new GatewayError("unknown_channel", undefined, { field: "channel" });
      return options;
    },
  };
}

function withDefaults(settings: ChannelKindSettings): ChannelKindOptions {
  return {
    subscribe: settings.subscribe ?? defaults.subscribe,
    publish: settings.publish ?? defaults.publish,
    presence: settings.presence ?? defaults.presence,
    history: settings.history ?? defaults.history,
    conflateMs: settings.conflateMs ?? defaults.conflateMs,
  };
}

/**
 * A name for an epoch that begins now: 48 random bits. Made for every publication, though few begin an epoch, so it must be
 * cheap; nobody gains by guessing it.
 */
export const freshEpoch = (): string => threeBytes() + threeBytes();

/** Numbers that fit a word are written out at a sixth of the cost of larger ones. */
const threeBytes = (): string =>
  Math.floor(Math.random() * 2 ** 24)
    .toString(16)
    .padStart(6, "0");
