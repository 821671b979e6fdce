import type { IncomingMessage, ServerResponse } from "node:http";
import type { Identity } from "../../auth/identity.ts";
import type { Kinds } from "../../channels/kinds.ts";
import type { Permissions } from "../../channels/permissions.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { parseWith } from "../../protocol/parse-with.ts";
import { clientStreamChannel } from "../../protocol/streams.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { refusalOf } from "../../commands/refusal.ts";
import type { Admission } from "../admission.ts";
import type { ConnectionHooks } from "../connection-hooks.ts";

/** With what a stream is opened. */
export type StreamCredentials =
  | { kind: "token"; token: string }
  | { kind: "ticket"; ticket: string }
  /** The name of an API key: a backend, which may read every channel. */
  | { kind: "backend"; apiKey: string };

/** A request for a stream, parsed. */
export interface OpeningRequest {
  request: IncomingMessage;
  response: ServerResponse;
  address: string;
  credentials: StreamCredentials;
}

/** Who reads a stream. Backends have no user, and are not counted as one. */
export interface StreamReader {
  identity: Identity;
  isBackend: boolean;
  resumeKey: string;
}

export interface StreamAdmissionDeps {
  hooks: Pick<ConnectionHooks, "admit" | "authenticate" | "authenticateTicket" | "abandoned">;
  admission: Pick<Admission, "admit" | "release">;
  permissions: Pick<Permissions, "checkSubscribe">;
  kinds: Kinds;
  /** Max channels of one stream. */
  maxChannels: number;
  metrics: Pick<Metrics, "handshakes">;
}

/** Decides whether a stream may begin; a refused one leaves nothing behind. */
export class StreamAdmission {
  readonly #deps: StreamAdmissionDeps;

  constructor(deps: StreamAdmissionDeps) {
    this.#deps = deps;
  }

  /** Undefined if the client has left meanwhile. */
  async admit(
    asked: OpeningRequest,
    channels: readonly string[],
    resumeKey: string,
  ): Promise<StreamReader | undefined> {
    const { hooks, metrics } = this.#deps;
    if (channels.length > this.#deps.maxChannels) throw new GatewayError("subscription_limit");
    const reader = await this.#authenticate(asked, resumeKey).catch((error: unknown) => {
      metrics.handshakes.inc({ outcome: refusalOf(error).code });
      throw error;
    });
    try {
      await this.#checkPermissions(reader, channels);
    } catch (error) {
      if (!reader.isBackend) hooks.abandoned(reader.identity);
      throw error;
    }
    if (!asked.response.destroyed) return reader;
    if (!reader.isBackend) hooks.abandoned(reader.identity);
    return undefined;
  }

  async #authenticate(asked: OpeningRequest, resumeKey: string): Promise<StreamReader> {
    const { hooks, admission } = this.#deps;
    const { credentials, request: incoming, response } = asked;
    if (credentials.kind === "backend") return this.#admitBackend();
    const refusal = await admission.admit(incoming, response);
    if (refusal !== undefined) throw refusal;
    try {
      const caller = { userAgent: userAgentOf(incoming) };
      if (credentials.kind === "ticket") {
        const admitted = await hooks.authenticateTicket({ ticket: credentials.ticket, resumeKey }, caller);
        return { ...admitted, isBackend: false };
      }
      const identity = await hooks.authenticate(credentials.token, caller);
      return { identity, isBackend: false, resumeKey: "" };
    } finally {
      admission.release(incoming);
    }
  }

  async #admitBackend(): Promise<StreamReader> {
    const refusal = await this.#deps.hooks.admit(undefined);
    if (refusal instanceof GatewayError) throw refusal;
    return { identity: backendIdentity, isBackend: true, resumeKey: "" };
  }

  async #checkPermissions({ identity, isBackend }: StreamReader, channels: readonly string[]): Promise<void> {
    const { kinds, permissions } = this.#deps;
    for (const channel of channels) kinds.of(channel);
    if (isBackend) return;
    for (const channel of channels) parseWith(clientStreamChannel, { channel });
    await Promise.all(channels.map((channel) => permissions.checkSubscribe(identity, channel)));
  }
}

/** Names cannot be empty, so no user has this identity. */
const backendIdentity: Identity = {
  userId: "",
  sessionId: "",
  tokenId: "",
  issuedAt: 0,
  expiresAt: Infinity,
  expiresBy: "session",
  roles: [],
  channels: { subscribe: [], publish: [] },
};

const maxUserAgentLength = 256;

export const userAgentOf = ({ headers }: IncomingMessage): string | undefined =>
  headers["user-agent"]?.slice(0, maxUserAgentLength);
