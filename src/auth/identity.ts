/** The identity and rights of a connection, from its token and session. */
export interface Identity {
  userId: string;
  sessionId: string;
  /** `jti` of the token. */
  tokenId: string;
  /** Epoch milliseconds. */
  issuedAt: number;
  /** Epoch milliseconds: the end of the token or of the session, whichever comes first. */
  expiresAt: number;
  /** Which of the two that is. */
  expiresBy: "token" | "session";
  roles: readonly string[];
  channels: ChannelGrants;
}

/** Patterns of channels a token grants; `*` matches the rest of a name. */
export interface ChannelGrants {
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
}
