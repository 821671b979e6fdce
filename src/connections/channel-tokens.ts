import type { Identity } from "../auth/identity.ts";
import type { Tokens } from "../auth/tokens.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";

export interface ChannelTokensDeps {
  tokens: Pick<Tokens, "verifySubscription">;
  clock: Clock;
  identityReplaced: (connection: Connection, previous: Identity) => void;
  /** Ends subscriptions that the connection's identity no longer allows. */
  recheck: (connection: Connection) => Promise<void>;
}

/** Max channels that one connection may enter with tokens. */
const maxChannelTokens = 256;

/** Subscription tokens: each lets one connection into one channel until it expires. */
export interface ChannelTokens {
  use(connection: Connection, channel: string, token: string): Promise<void>;
  /** Call when a connection has begun: one that recovered has tokens, which end in their time. */
  watch(connection: Connection): void;
  /** Call when the connection has ended. */
  forget(connection: Connection): void;
}

export function createChannelTokens(deps: ChannelTokensDeps): ChannelTokens {
  const { tokens, clock, identityReplaced, recheck } = deps;
  const timers = new Map<Connection, Map<string, Cancel>>();

  function replace(connection: Connection, change: (channels: Map<string, ChannelGrant>) => void): void {
    const previous = connection.identity;
    const channelTokens = new Map(previous.channelTokens);
    change(channelTokens);
    connection.identity = { ...previous, channelTokens };
    identityReplaced(connection, previous);
  }

  function end(connection: Connection, channel: string): void {
    timers.get(connection)?.delete(channel);
    replace(connection, (channels) => channels.delete(channel));
    void recheck(connection);
  }

  function endAt(connection: Connection, channel: string, expiresAt: number): void {
    const own = timers.get(connection) ?? new Map<string, Cancel>();
    timers.set(connection, own);
    own.get(channel)?.();
    own.set(
      channel,
      clock.after(expiresAt - clock.now(), () => {
        // The longest timers fire too early.
        if (expiresAt > clock.now()) endAt(connection, channel, expiresAt);
        else end(connection, channel);
      }),
    );
  }

  return {
    async use(connection, channel, token) {
      const { userId, channel: granted, ...grant } = await tokens.verifySubscription(token);
      if (userId !== connection.identity.userId || granted !== channel)
        throw new GatewayError("forbidden", "The token is for another user or channel.", {
          field: "token",
          reason: { rule: "subscription_token" },
        });
      const isNew = connection.identity.channelTokens?.has(channel) !== true;
      if (isNew && (connection.identity.channelTokens?.size ?? 0) >= maxChannelTokens)
        throw new GatewayError("subscription_limit");
      if (!connection.isOpen) return;
      replace(connection, (channels) => channels.set(channel, grant));
      endAt(connection, channel, grant.expiresAt);
    },

    watch(connection) {
      for (const [channel, { expiresAt }] of connection.identity.channelTokens ?? [])
        endAt(connection, channel, expiresAt);
    },

    forget(connection) {
      for (const cancel of timers.get(connection)?.values() ?? []) cancel();
      timers.delete(connection);
    },
  };
}

type ChannelGrant = { expiresAt: number; mayPublish: boolean };
