import type { Closing } from "../protocol/closings.ts";

/** What became of a revocation: sockets closed, nodes asked, and how many of those confirmed. */
export interface Disconnection {
  disconnected: number;
  nodes: number;
  acknowledged: number;
}

/**
 * Closes live sockets on every node; cluster control of the network edge does it. What makes a login invalid stands in
 * Redis before any of these is called, so a socket that is being let in at this moment is either refused by the store
 * or found by the call. Where `nodes` and `acknowledged` are equal, no such socket is alive anywhere.
 */
export interface Revocations {
  /** `userId` is undefined where the session was gone already and nobody knows whose it was. */
  revokeSession(sessionId: string, userId: string | undefined): Promise<Disconnection>;
  revokeUserSessions(userId: string): Promise<Disconnection>;
  revokeToken(tokenId: string): Promise<Disconnection>;
  disconnectUser(userId: string, closing: Closing): Promise<Disconnection>;
}

/** Live connections of each session over all nodes; a session without any may be missing. */
export type ConnectionsOf = (sessionIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
