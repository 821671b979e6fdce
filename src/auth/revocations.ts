import type { Closing } from "../protocol/closings.ts";

/** The result of closing connections on all nodes: connections closed, nodes asked, and nodes that confirmed. */
export interface Disconnection {
  disconnected: number;
  nodes: number;
  acknowledged: number;
}

/**
 * Closes live connections on every node, through the control log. Redis is updated before any of these is called, so a
 * concurrent handshake is either refused or its connection is found by the call. If `nodes` and `acknowledged` are equal,
 * no such connection is open anywhere.
 */
export interface Revocations {
  /** `userId` is undefined if the session no longer existed and its user is unknown. */
  revokeSession(sessionId: string, userId: string | undefined): Promise<Disconnection>;
  revokeUserSessions(userId: string): Promise<Disconnection>;
  revokeToken(tokenId: string): Promise<Disconnection>;
  /** Connections of the user whose tokens were issued before `issuedBefore` (epoch ms). */
  revokeTokensBefore(userId: string, issuedBefore: number): Promise<Disconnection>;
  disconnectUser(userId: string, closing: Closing): Promise<Disconnection>;
  /** Closes nothing; the nodes that confirm have performed everything before. */
  settle(): Promise<Disconnection>;
}

/** Number of connections of each session across all nodes; sessions without any may be missing. */
export type ConnectionsOf = (sessionIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
