import { closing } from "../protocol/closings.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { Disconnection, Revocations } from "./revocations.ts";
import type { Session, SessionRevisions, UserBlock } from "./session-store.ts";
import type { Sessions, SessionUpdate } from "./sessions.ts";

/** The rights of a session, as nodes apply them to its live connections. */
export interface SessionRights {
  sessionId: string;
  /** Nodes ignore an older revision than the one they have applied. */
  revision: number;
  roles: Session["roles"];
  channels: Session["channels"];
  granted: readonly string[];
  info?: Record<string, unknown> | undefined;
  /** Epoch milliseconds. */
  expiresAt: number;
}

/** How many nodes were asked, and how many confirmed. */
export interface Acknowledged {
  nodes: number;
  acknowledged: number;
}

/** A channel that a backend has granted to a user, or taken back. */
export interface UserGrant {
  userId: string;
  channel: string;
  /** By which nodes tell an older change of a session from a newer one. */
  revisions: SessionRevisions;
}

/** Applies changed rights to live connections on every node, through the control log. */
export interface RightsBroadcast {
  /** Resolves when the nodes' connections have the rights, and subscriptions no longer allowed were ended. */
  apply(rights: SessionRights): Promise<Acknowledged & { connections: number }>;
  /** Subscribes the user's connections to a channel, or ends their subscriptions. */
  subscribe(of: UserGrant): Promise<Acknowledged & { connections: number }>;
  unsubscribe(of: UserGrant): Promise<Acknowledged & { connections: number }>;
}

/**
 * Changes the rights of signed-in users: first in Redis, so that handshakes and recovered connections have them, then on
 * live connections.
 */
export interface LiveRights {
  /** Throws `not_found`. */
  update(sessionId: string, change: SessionUpdate): Promise<Acknowledged & { session: Session; connections: number }>;
  /** Extends the session. Throws `not_found`. */
  refresh(sessionId: string, ttlSeconds?: number): Promise<{ expiresAt: number }>;
  /** Subscribes all connections of the user; the grant holds for later connections of its sessions. */
  subscribe(userId: string, channel: string): Promise<Acknowledged & { connections: number }>;
  /** Ends the subscriptions and takes the grant back. */
  unsubscribe(userId: string, channel: string): Promise<Acknowledged & { connections: number }>;
  /** Closes the user's connections and refuses new ones. */
  block(userId: string, block: UserBlock): Promise<Disconnection>;
  /** After it no node closes connections of the user because of the block. */
  unblock(userId: string): Promise<Disconnection>;
}

export interface LiveRightsDeps {
  sessions: Pick<Sessions, "update" | "refresh" | "grantChannel" | "block" | "unblock" | "list">;
  revocations: Pick<Revocations, "disconnectUser" | "settle">;
  broadcast: RightsBroadcast;
}

export function createLiveRights({ sessions, revocations, broadcast }: LiveRightsDeps): LiveRights {
  const found = (session: Session | undefined): Session => {
    if (session === undefined) throw new GatewayError("not_found", "The session does not exist or has ended.");
    return session;
  };

  return {
    async update(sessionId, change) {
      const session = found(await sessions.update(sessionId, change));
      return { session, ...(await broadcast.apply(rightsOf(session))) };
    },

    async refresh(sessionId, ttlSeconds) {
      const session = found(await sessions.refresh(sessionId, ttlSeconds));
      await broadcast.apply(rightsOf(session));
      return { expiresAt: session.expiresAt };
    },

    async subscribe(userId, channel) {
      const revisions = await sessions.grantChannel(userId, channel, true);
      if (revisions === undefined)
        throw new GatewayError("subscription_limit", "A session of this user has too many granted channels.");
      return broadcast.subscribe({ userId, channel, revisions });
    },

    async unsubscribe(userId, channel) {
      const revisions = (await sessions.grantChannel(userId, channel, false)) ?? {};
      return broadcast.unsubscribe({ userId, channel, revisions });
    },

    async block(userId, block) {
      await sessions.block(userId, block);
      return revocations.disconnectUser(userId, closing("user_blocked"));
    },

    async unblock(userId) {
      await sessions.unblock(userId);
      // A slow node that still has to perform the block would close connections made from now on.
      return revocations.settle();
    },
  };
}

const rightsOf = ({
  sessionId,
  revision = 0,
  roles,
  channels,
  granted = [],
  info,
  expiresAt,
}: Session): SessionRights => ({
  sessionId,
  revision,
  roles,
  channels,
  granted,
  info,
  expiresAt,
});
