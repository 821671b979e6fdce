import { GatewayError } from "../protocol/errors.ts";
import { kindOf } from "../protocol/names.ts";

export interface HistoryOptions {
  /** Max publications in a channel's log. */
  size: number;
  /** Seconds the log is kept after its last publication; 0 for no log. */
  ttlSeconds: number;
}

/** Anyone authenticated, anyone with a grant, or nobody. */
export type Access = "public" | "granted" | "none";

export interface ChannelKindOptions {
  /** @default "none" */
  subscribe: Access;
  /** For clients; backends may always publish. @default "none" */
  publish: Access;
  /** @default false */
  presence: boolean;
  /** @default { size: 100, ttlSeconds: 300 } */
  history: HistoryOptions;
  /** Milliseconds within which a subscriber receives only the latest publication; 0 delivers all. @default 0 */
  conflateMs: number;
}

/** Settings of a kind in the configuration. */
export type ChannelKindSettings = { [K in keyof ChannelKindOptions]?: ChannelKindOptions[K] | undefined };

const defaults: ChannelKindOptions = {
  subscribe: "none",
  publish: "none",
  presence: false,
  history: { size: 100, ttlSeconds: 300 },
  conflateMs: 0,
};

/** Exists without configuration; sessions with the role `staff` may always subscribe. */
const staffKind = { staff: { subscribe: "none", publish: "none" } } as const;

/** Built-in kinds. `permissions.ts` decides who subscribes; configuration may change the rest. */
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
 * A new epoch: 48 random bits. Created for every publication although few start an epoch, so it must be cheap; it
 * need not be unpredictable.
 */
export const freshEpoch = (): string => threeBytes() + threeBytes();

/** Small integers are formatted six times faster than larger numbers. */
const threeBytes = (): string =>
  Math.floor(Math.random() * 2 ** 24)
    .toString(16)
    .padStart(6, "0");
