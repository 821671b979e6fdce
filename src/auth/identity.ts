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
  /** Public part of the session, which other clients may see. */
  info?: Record<string, unknown> | undefined;
  /** Channels granted by name, whatever the rules of their kind: by the backend, or by subscription tokens. */
  granted?: readonly string[] | undefined;
  /** Channels granted by subscription tokens, with when each ends. */
  channelTokens?: ReadonlyMap<string, { expiresAt: number; mayPublish: boolean }> | undefined;
  /** Of the session's rights; 0 before their first change. */
  revision?: number | undefined;
  /** Changes of `granted` that are newer than `revision`, by channel. */
  grantChanges?: ReadonlyMap<string, GrantChange> | undefined;
  /** Epoch milliseconds: the end of the token alone. */
  tokenExpiresAt?: number | undefined;
  /** Sliding life of the session in milliseconds; undefined without one. */
  slidingMs?: number | undefined;
  /** True if an app authenticated the client, which has no token. */
  isFromApp?: true;
  /** The last revocation and change of rights that were known when Redis was asked: later ones are applied once connected. */
  asOf?: { readonly revocation: number; readonly rights: number } | undefined;
}

export interface GrantChange {
  readonly isGranted: boolean;
  /** Of the session. */
  readonly revision: number;
}

/** Patterns of channels a token grants; `*` matches the rest of a name. */
export interface ChannelGrants {
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
}
