/** Why the server closes a connection, and whether the client should reconnect. */
export const closingCatalogue = {
  token_expired: { message: "The token has expired. Reconnect with a fresh token.", reconnect: true },
  token_revoked: { message: "The token was revoked.", reconnect: false },
  session_revoked: { message: "The session was revoked.", reconnect: false },
  session_expired: { message: "The session has ended.", reconnect: false },
  user_blocked: { message: "The user was blocked.", reconnect: false },
  slow_consumer: { message: "The client read too slowly. Reconnect and recover.", reconnect: true },
  rate_limited: { message: "The client ignored refusals too often. Reconnect later.", reconnect: true },
  connection_replaced: { message: "The same client reconnected on another connection.", reconnect: false },
  drain: { message: "This node is shutting down. Reconnect to another node.", reconnect: true },
  protocol_error: { message: "The client violated the protocol.", reconnect: true },
  internal: { message: "Internal error. Details are in the server log.", reconnect: true },
  disconnected_by_backend: { message: "The backend closed the connection.", reconnect: false },
} as const satisfies Record<string, { message: string; reconnect: boolean }>;

export type ClosingCode = keyof typeof closingCatalogue;

/** Argument of the server event `closing`. */
export interface Closing {
  /** Of the catalogue, or one that a backend or an app chose. */
  code: ClosingCode | (string & {});
  message: string;
  reconnect: boolean;
}

/** The code itself if it is in the catalogue, otherwise that of any closing by a backend or an app. */
export const catalogueCodeOf = (code: Closing["code"]): ClosingCode => (isOfCatalogue(code) ? code : ownClosing);

/** A closing with the catalogue's message and `reconnect`, unless overridden. */
export function closing(
  code: Closing["code"],
  { message, reconnect }: { message?: string | undefined; reconnect?: boolean | undefined } = {},
): Closing {
  const known = closingCatalogue[catalogueCodeOf(code)];
  return { code, message: message ?? known.message, reconnect: reconnect ?? known.reconnect };
}

const ownClosing = "disconnected_by_backend" satisfies ClosingCode;

const isOfCatalogue = (code: string): code is ClosingCode => Object.keys(closingCatalogue).includes(code);
