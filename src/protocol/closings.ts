/** Why the server closes a connection, and whether coming back makes sense. */
export const closingCatalogue = {
  token_expired: { message: "The token has expired.", reconnect: false },
  token_revoked: { message: "The token was revoked.", reconnect: false },
  session_revoked: { message: "The session was revoked.", reconnect: false },
  session_expired: { message: "The session has ended.", reconnect: false },
  slow_consumer: { message: "The connection read too slowly; come back and recover.", reconnect: true },
  rate_limited: { message: "Refused too often; come back later.", reconnect: true },
  connection_replaced: { message: "The same client came back on another connection.", reconnect: false },
  drain: { message: "This node is going away; come back elsewhere.", reconnect: true },
  protocol_error: { message: "The connection broke the protocol.", reconnect: true },
  disconnected_by_backend: { message: "The backend closed the connection.", reconnect: false },
} as const satisfies Record<string, { message: string; reconnect: boolean }>;

export type ClosingCode = keyof typeof closingCatalogue;

/** Argument of the server event `closing`. */
export interface Closing {
  code: ClosingCode;
  message: string;
  reconnect: boolean;
}

export function closing(code: ClosingCode, overrides: { message?: string; reconnect?: boolean } = {}): Closing {
  return { code, ...closingCatalogue[code], ...overrides };
}
