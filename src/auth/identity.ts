/** Who a connection is, as its token and session say. */
export interface Identity {
  userId: string;
  sessionId: string;
  /** `jti` of the token. */
  tokenId: string;
  /** Epoch milliseconds. */
  issuedAt: number;
  /** Epoch milliseconds. */
  expiresAt: number;
  roles: readonly string[];
  /** Patterns of channels granted by the token; `*` matches the rest of a name. */
  channels: { readonly subscribe: readonly string[]; readonly publish: readonly string[] };
}
