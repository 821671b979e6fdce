/** All error codes, for server and clients; HTTP responses use the same codes in RFC 9457 problems. `advice` is for the docs. */
export const errorCatalogue = {
  bad_request: {
    status: 400,
    message: "The request is invalid.",
    advice: "Fix the request; the message names the field.",
  },
  unauthorized: {
    status: 401,
    message: "The token or key is missing or not valid.",
    advice: "Sign in again; a backend checks its key.",
  },
  token_expired: { status: 401, message: "The token has expired.", advice: "Get a fresh token." },
  token_revoked: { status: 401, message: "The token was revoked.", advice: "Sign in again." },
  session_expired: { status: 401, message: "The session has ended.", advice: "Sign in again." },
  user_blocked: { status: 403, message: "The user is blocked.", advice: "Nothing until the block ends." },
  forbidden: {
    status: 403,
    message: "Not allowed.",
    advice: "Ask for the right; the answer is the same for an order of somebody else and for one that does not exist.",
  },
  not_found: { status: 404, message: "Not found.", advice: "Check the name." },
  method_not_allowed: {
    status: 405,
    message: "This path does not support this method.",
    advice: "Use a method that the `Allow` header lists.",
  },
  unknown_channel: {
    status: 404,
    message: "This channel kind is not configured.",
    advice: "Configure the kind, or check the name.",
  },
  unknown_event: { status: 404, message: "Nothing handles this event.", advice: "Check the name of the event." },
  conflict: {
    status: 409,
    message: "It already exists with different content.",
    advice: "Use another idempotency key for other content.",
  },
  illegal_transition: {
    status: 409,
    message: "The order cannot move to this status.",
    advice: "Check the order's status.",
  },
  payload_too_large: { status: 413, message: "The payload is too large.", advice: "Send less." },
  unsupported_media_type: {
    status: 415,
    message: "The content type of the body is not supported.",
    advice: "Send uncompressed JSON.",
  },
  rate_limited: { status: 429, message: "Too many requests.", advice: "Wait for `retryAfterMs`." },
  connection_limit: { status: 429, message: "Too many connections.", advice: "Close other connections of the user." },
  subscription_limit: {
    status: 429,
    message: "Too many subscriptions on this connection.",
    advice: "Unsubscribe from other channels.",
  },
  not_subscribed: { status: 409, message: "Not subscribed to this channel.", advice: "Subscribe first." },
  app_failed: { status: 502, message: "The app failed to handle this.", advice: "Retry after `retryAfterMs`." },
  timeout: { status: 504, message: "The app did not answer in time.", advice: "Retry after `retryAfterMs`." },
  draining: { status: 503, message: "This node is shutting down.", advice: "Reconnect to another node." },
  unavailable: {
    status: 503,
    message: "Redis cannot be reached, or no node answered.",
    advice: "Retry after `retryAfterMs`.",
  },
  writes_refused: {
    status: 503,
    message: "Redis refuses writes.",
    advice: "Retry after `retryAfterMs`; the message says why.",
  },
  internal: {
    status: 500,
    message: "Internal error. Details are in the server log.",
    advice: "Report it to the gateway's operator.",
  },
} as const satisfies Record<string, { status: number; message: string; advice: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

/** The codes of the catalogue that are temporary; a list of its own, so that browsers need not load the texts. */
export const temporaryCodes: readonly string[] = [
  "rate_limited",
  "app_failed",
  "timeout",
  "draining",
  "unavailable",
  "writes_refused",
  "internal",
] satisfies ErrorCode[];

/**
 * Whether a retry may succeed later. A stock client retries by itself after a transport error, and never after a
 * `connect_error` of Socket.IO.
 */
export const isTemporary = (code: string): boolean => temporaryCodes.includes(code);

/** `error` of an acknowledgement, and `data` of a `connect_error`. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  /** Milliseconds after which a retry may succeed. */
  retryAfterMs?: number;
}

/** `error` of an acknowledgement, and `data` of a `connect_error`, whose code may be an app's own. */
export type ClientErrorBody = Omit<ErrorBody, "code"> & { code: string };

/** Which rule refused. Recorded and counted for operators; clients and backends are not told. */
export type RefusalRule =
  | "malformed"
  | "algorithm"
  | "signature"
  | `claim_${"sub" | "sid" | "jti" | "iat" | "exp" | "nbf" | "iss" | "aud" | "roles" | "channels"}`
  | "lifetime"
  | "expired"
  | "revoked"
  | "session"
  | "other_user"
  | "query_token"
  | "attempts"
  | "origin"
  | "api_key"
  | "operator"
  | "csrf"
  | "grant"
  | "channel_owner"
  | "hook"
  | "blocked"
  | "subscription_token";

/** Why something was refused, for operators only. */
export interface RefusalReason {
  rule: RefusalRule;
  /** In words; without secrets and payloads. */
  detail?: string | undefined;
  /** Who was refused, if a valid signature says so. */
  userId?: string | undefined;
  sessionId?: string | undefined;
}

export interface GatewayErrorOptions {
  retryAfterMs?: number;
  /** The field that was wrong, as a path: `publications[3].channel`. Part of the message sent to clients. */
  field?: string;
  cause?: unknown;
  /** For operators; never sent. */
  reason?: RefusalReason | undefined;
}

/** A refusal with a code of the catalogue. Its message is public: it contains no paths, addresses or stacks. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly field: string | undefined;
  readonly reason: RefusalReason | undefined;

  constructor(code: ErrorCode, message?: string, options: GatewayErrorOptions = {}) {
    super(message ?? errorCatalogue[code].message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "GatewayError";
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.field = options.field;
    this.reason = options.reason;
  }

  /** What a client is told: an app may refuse with a code of its own. */
  toClientBody(): ClientErrorBody {
    return this.toBody();
  }

  /** The shape that goes over the wire. */
  toBody(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message };
    if (this.retryAfterMs !== undefined) body.retryAfterMs = this.retryAfterMs;
    return body;
  }
}

/** Milliseconds after which a client may try again what its app failed to handle. */
const appRetryMs = 1_000;

/** An app threw, or did or answered what is refused. */
export const appFailed = (cause: unknown): GatewayError =>
  cause instanceof GatewayError
    ? new AppFault(cause)
    : new GatewayError("app_failed", undefined, { retryAfterMs: appRetryMs, cause });

/**
 * `app_failed` because of what an app answered, or because it did not. The log has `fault` in one line: a stack would say
 * nothing about the app.
 */
export class AppFault extends GatewayError {
  declare readonly cause: Error;
  readonly fault: { readonly code?: ErrorCode; readonly field?: string; readonly reason: string };

  /** `field`, if the cause names none or another one. */
  constructor(cause: Error, { field, reason }: Pick<GatewayErrorOptions, "field" | "reason"> = {}) {
    super("app_failed", undefined, { retryAfterMs: appRetryMs, cause, reason });
    const code = cause instanceof GatewayError ? cause.code : undefined;
    const place = field ?? (cause instanceof GatewayError ? cause.field : undefined);
    this.fault = {
      ...(code !== undefined && { code }),
      ...(place !== undefined && { field: place }),
      reason: cause.message,
    };
  }
}

/** A refusal by an app, with a code of its own choice. In the gateway it counts as the code of the catalogue, else as `forbidden`. */
export class AppRefusal extends GatewayError {
  readonly #appCode: string;

  constructor(
    { code, message, retryAfterMs }: { code: string; message?: string | undefined; retryAfterMs?: number | undefined },
    detail: string,
  ) {
    const isKnown = Object.keys(errorCatalogue).includes(code);
    const options = retryAfterMs === undefined ? {} : { retryAfterMs };
    super(isKnown ? (code as ErrorCode) : "forbidden", message, { ...options, reason: { rule: "hook", detail } });
    this.#appCode = code;
  }

  override toClientBody(): ClientErrorBody {
    return { ...this.toBody(), code: this.#appCode };
  }
}
