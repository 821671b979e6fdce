import type { Authenticator } from "../auth/authenticator.ts";
import type { ExpiryListener, ExpiryWatch, ExpiryTimer } from "../auth/expiry-watch.ts";
import type { Identity } from "../auth/identity.ts";
import type { SessionPeek } from "../auth/session-store.ts";
import type { Login, Sessions } from "../auth/sessions.ts";
import type { Tokens } from "../auth/tokens.ts";
import type { TicketStore, UsedTicket } from "../auth/ticket-store.ts";
import type { Channels } from "../channels/channels.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Fence } from "../cluster/fence.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import { GatewayError } from "../protocol/errors.ts";
import { userChannelOf } from "../protocol/names.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Presence } from "../presence/presence.ts";
import type { State } from "../state/state.ts";
import type { Throttling } from "../throttling/throttling.ts";
import { refusalWhileFenced, storeUnavailable } from "../redis/refusals.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { Connection, ConnectionInfo } from "./connection.ts";
import type { Authenticate } from "./handshake.ts";
import type { SessionRecovery } from "./session-recovery.ts";
import { createChannelTokens } from "./channel-tokens.ts";
import type { NodeRights } from "./node-rights.ts";
import type { NodeRevocations } from "./revocations.ts";
import { createQuotaAdmission, type AuthenticateClient, type HandshakeContext } from "./quota-admission.ts";
import { createReconnectCooldown } from "./reconnect-cooldown.ts";
import type { ConnectContext } from "./lifecycle.ts";
import type { AdmitResult } from "./admission.ts";
import type { RateLimitResult } from "./rate-limit-result.ts";

export interface ConnectionHooksDeps {
  authenticator: Pick<Authenticator, "authenticate" | "authenticateSession" | "authenticateLogin" | "refresh">;
  /** Asks the app who a client without a token is; undefined if it is not asked. */
  connectHook: () => ConnectHook | undefined;
  tickets: Pick<TicketStore, "use" | "keepUntil">;
  channels: Channels;
  expiry: ExpiryWatch;
  revocations: NodeRevocations;
  rights: Pick<NodeRights, "mark" | "applySince" | "onChanged" | "recheck">;
  sessions: Pick<Sessions, "peek" | "touch">;
  tokens: Pick<Tokens, "verifySubscription">;
  throttling: Pick<Throttling, "handshake" | "message" | "forget">;
  recovery: Pick<SessionRecovery, "open" | "persist" | "end" | "evictPrevious">;
  quota: Presence["connectionQuota"];
  state: Pick<State, "connectionEnded">;
  fence: Fence;
  clock: Clock;
  isDraining: () => boolean;
  /** False if this node cannot accept connections for now. */
  isReady: () => boolean;
}

/** Resolves with the client's login. Throws a GatewayError if the client is refused. */
export type ConnectHook = (connection: ConnectionInfo) => Promise<Omit<Login, "data" | "idleSeconds">>;

/** Everything a connection goes through from its handshake to its disconnect, apart from handling its messages. */
export interface ConnectionHooks {
  /**
   * Decides whether a connection may begin. Runs before the handshake, so that a refusal is an HTTP response. Without an
   * address, the node's readiness alone decides.
   */
  admit(address: string | undefined): Promise<AdmitResult> | AdmitResult;
  authenticate(token: unknown, caller: HandshakeContext): Promise<Identity>;
  /** The same for a stream that is opened with a ticket; `resumeKey` is empty unless the stream was open before. */
  authenticateTicket(
    ticket: { ticket: string; resumeKey: string },
    caller: HandshakeContext,
  ): Promise<{ identity: Identity; resumeKey: string }>;
  /** An authenticated client disconnected before its connection was established. */
  abandoned(identity: Identity): void;
  /** Checks a new token of an open connection; `tokenRefreshed` follows. */
  refresh(identity: Identity, token: unknown): Promise<Identity>;
  /**
   * Lets the connection into a channel with a subscription token. Throws `unauthorized`, `token_expired`, or `forbidden` if
   * the token belongs to another user or channel.
   */
  useSubscriptionToken(connection: Connection, channel: string, token: string): Promise<void>;
  connected(connection: Connection, arrival: ConnectContext): Promise<void>;
  throttle(connection: Connection, event: string, bytes: number): RateLimitResult | Promise<RateLimitResult>;
  /** A fenced node sends no answers before it knows what was revoked meanwhile. Undefined if answers may be sent now. */
  untilAnswersAllowed(connection: Connection): Promise<void> | undefined;
  /** Call after the connection's identity was replaced. */
  tokenRefreshed(connection: Connection): void;
  /** `mayReturn`: its client may reconnect and recover; `reason`: for operators. */
  disconnected(connection: Connection, mayReturn: boolean, reason: string): Promise<void>;
}

/** `retryAfterMs` of a client that reached a node which is draining or fenced. */
const admissionRetryMs = 1_000;

const notReadyMessage = "This node is not ready.";
const notReadyRetryMs = 5_000;

/** Max milliseconds between two messages that extend a session's sliding life. */
const maxSlidePauseMs = 60_000;

/** Until a session that seems to have ended is looked up again, if Redis did not answer. */
const peekRetryMs = 1_000;

/** Max milliseconds that a message waits for the fence to open: long enough for a node that was suspended. */
const maxFenceWaitMs = 1_000;

export function createConnectionHooks(deps: ConnectionHooksDeps): ConnectionHooks {
  const { authenticator, tickets, channels, expiry, revocations, rights, sessions, throttling } = deps;
  const { recovery, quota, fence, clock } = deps;
  const expiryTimers = new Map<Connection, ExpiryTimer>();
  const cooldown = createReconnectCooldown(clock);
  const admitWith = (authenticate: AuthenticateClient): Authenticate =>
    createQuotaAdmission({ ...deps, authenticator: { authenticate }, cooldown });
  const admitSession = admitWith((session, client, onVerified) =>
    authenticator.authenticateSession(session as UsedTicket, client, onVerified),
  );
  const admitClient = admitWith((token, client, onVerified) => {
    const ask = token === undefined ? deps.connectHook() : undefined;
    const verified = (sessionId: string, userId: string): void => {
      onVerified(sessionId, userId);
      if (client.hasOwnChannel === true && fence.isOpen) channels.prepare(userChannelOf(userId));
    };
    if (ask === undefined || client.connection === undefined)
      return authenticator.authenticate(token, client, verified);
    const askedAt = clock.now();
    return ask(client.connection).then((login) =>
      authenticator.authenticateLogin({ ...login, askedAt }, client, verified),
    );
  });

  async function withMark(ask: () => Promise<Identity>): Promise<Identity> {
    const asOf = { revocation: revocations.mark(), rights: rights.mark() };
    const identity = await ask();
    identity.asOf = asOf;
    return identity;
  }

  const revokedSinceMark = (identity: Identity): Closing | undefined =>
    revocations.since(identity.asOf?.revocation ?? 0, identity);

  const applyRights = (connection: Connection): Promise<void> | undefined =>
    rights.applySince(connection.identity.asOf?.rights ?? 0, connection);

  const lastSlide = new WeakMap<Connection, number>();

  /** A message extends the sliding life of its session. */
  function slide(connection: Connection, slidingMs: number): void {
    const now = clock.monotonic();
    if (now - (lastSlide.get(connection) ?? -Infinity) < Math.min(maxSlidePauseMs, slidingMs / 4)) return;
    lastSlide.set(connection, now);
    sessions.touch(connection.identity.sessionId, { lastSeenAt: undefined, slidingMs }).catch(() => undefined);
  }

  /** Until Redis answers, which says nothing of the session while it is away. Undefined if the session has ended. */
  async function peekSession(connection: Connection): Promise<SessionPeek | undefined> {
    while (connection.isOpen) {
      try {
        return await sessions.peek(connection.identity.sessionId);
      } catch {
        await sleep(clock, peekRetryMs);
      }
    }
    return undefined;
  }

  /** Acts unless the sliding session was extended, also through other connections and nodes: then its new end counts. */
  async function unlessExtended(connection: Connection, act: () => void): Promise<void> {
    const { expiresAt: reached } = connection.identity;
    const session = await peekSession(connection);
    // Read after the wait, during which rights may have changed, or the session's end, which has a timer of its own then.
    const { identity } = connection;
    if (identity.expiresAt > reached) return;
    if (session === undefined || session.expiresAt <= identity.expiresAt) return act();
    const { tokenExpiresAt = identity.expiresAt } = identity;
    const endsWithSession = session.expiresAt <= tokenExpiresAt;
    const expiresAt = endsWithSession ? session.expiresAt : tokenExpiresAt;
    connection.identity = { ...identity, expiresAt, expiresBy: endsWithSession ? "session" : "token" };
    identityReplaced(connection, identity);
  }

  function identityReplaced(connection: Connection, previous: Identity): void {
    const { identity } = connection;
    if (identity.expiresAt !== previous.expiresAt) expiryTimers.get(connection)?.renew(identity);
  }

  rights.onChanged(identityReplaced);

  async function recheckWithRights(connection: Connection): Promise<void> {
    // A subscription that a backend gave meanwhile may not begin during an outage; what was taken away is judged all the same.
    await applyRights(connection)?.catch(() => undefined);
    await rights.recheck(connection);
  }

  /** While the node is fenced, messages wait until it knows what was revoked meanwhile. */
  async function awaitLimit(
    connection: Connection,
    pending: MessageLimitResult | Promise<MessageLimitResult>,
  ): Promise<RateLimitResult> {
    const result = await pending;
    if (!(await fence.openedWithin(maxFenceWaitMs))) throw refusalWhileFenced(fence);
    return closeIfExceeded(connection, result);
  }

  const channelTokens = createChannelTokens({ tokens: deps.tokens, clock, identityReplaced, recheck: rights.recheck });

  async function untilOpen(connection: Connection): Promise<void> {
    while (connection.isOpen && !(await fence.openedWithin(maxFenceWaitMs)));
  }

  function closeIfExceeded(connection: Connection, result: MessageLimitResult): RateLimitResult {
    if (result.close !== true || !connection.isOpen) return result;
    cooldown.start(connection.identity.sessionId);
    connection.close(closing("rate_limited"));
    return result;
  }

  async function begin(
    connection: Connection,
    { privateId, restored, namesItsChannels = false }: ConnectContext,
  ): Promise<void> {
    if (!fence.isOpen) await untilOpen(connection);
    // Read after the wait, during which the token may have been refreshed.
    const { identity } = connection;
    const revoked = revokedSinceMark(identity);
    if (revoked !== undefined) return connection.close(revoked);
    // Admitted before the drain began, but too late to be moved with the others.
    if (deps.isDraining()) return connection.close(closing("drain"));
    expiryTimers.set(connection, expiry.watch(identity, new TokenExpiry(connection, unlessExtended)));
    channelTokens.watch(connection);
    if (restored === undefined && privateId !== undefined) recovery.open(connection, privateId);
    if (restored === undefined && !namesItsChannels)
      await channels.subscribeUnchecked(connection.subscriber, userChannelOf(identity.userId), {
        by: "gateway",
        startsHere: true,
      });
    for (const channel of channels.channelsOf(connection.subscriber)) connection.join(channel);
    await recovery.persist(connection);
    const applied = applyRights(connection);
    if (applied !== undefined) await applied;
    // Missed publications and `ready` follow.
    if (!fence.isOpen) await untilOpen(connection);
  }

  return {
    admit(address) {
      if (deps.isDraining()) return new GatewayError("draining", undefined, { retryAfterMs: admissionRetryMs });
      if (!deps.isReady()) return new GatewayError("unavailable", notReadyMessage, { retryAfterMs: notReadyRetryMs });
      if (!fence.isOpen) return storeUnavailable();
      return address === undefined ? undefined : throttling.handshake(addressGroup(address));
    },

    authenticate: (token, caller) => withMark(() => admitClient(token, caller)),
    async authenticateTicket({ ticket, resumeKey }, caller) {
      const used = await tickets.use(ticket, resumeKey);
      const identity = await withMark(() => admitSession(used, caller));
      await tickets.keepUntil(ticket, identity.expiresAt).catch((error: unknown) => {
        quota.release(identity.sessionId);
        throw error;
      });
      return { identity, resumeKey: used.resumeKey };
    },
    abandoned: ({ sessionId }) => quota.release(sessionId),
    refresh: (identity, token) => withMark(() => authenticator.refresh(identity, token)),

    connected(connection, context) {
      if (context.restored !== undefined || context.namesItsChannels === true) return begin(connection, context);
      const release = channels.hold(connection.subscriber);
      // `ready` leaves in the tick in which this resolves; publications follow it.
      return begin(connection, context).finally(() => setImmediate(release));
    },

    useSubscriptionToken: (connection, channel, token) => channelTokens.use(connection, channel, token),

    untilAnswersAllowed: (connection) => (fence.isOpen ? undefined : untilOpen(connection)),

    throttle(connection, event, bytes) {
      const { slidingMs } = connection.identity;
      if (slidingMs !== undefined) slide(connection, slidingMs);
      const result = throttling.message(connection.id, connection.identity, event, bytes);
      if (result instanceof Promise || !fence.isOpen) return awaitLimit(connection, result);
      return closeIfExceeded(connection, result);
    },

    tokenRefreshed(connection) {
      const revoked = revokedSinceMark(connection.identity);
      if (revoked !== undefined) return connection.close(revoked);
      expiryTimers.get(connection)?.renew(connection.identity);
      // After the acknowledgement, and after requests that were allowed with the old token.
      setImmediate(() => void recheckWithRights(connection));
    },

    async disconnected(connection, mayReturn) {
      expiryTimers.get(connection)?.stop();
      expiryTimers.delete(connection);
      channelTokens.forget(connection);
      throttling.forget(connection.id);
      const ended = recovery.end(connection, mayReturn);
      channels.disconnect(connection.subscriber, mayReturn);
      deps.state.connectionEnded(connection.id);
      quota.release(connection.identity.sessionId);
      await ended;
    },
  };
}

/** Tells a client that the server ended one of its subscriptions; `continues`: and began it again at a later position. */
export function notifyUnsubscribed(
  subscriber: Subscriber,
  channel: string,
  { code, message }: GatewayError,
  continues = false,
): void {
  // A subscriber of this node is always a connection (`socket-connection.ts`).
  const connection = subscriber as Connection;
  if (!continues) connection.leave(channel);
  connection.emit("unsubscribed", { channel, code, message });
}

/** Publications of a channel that its app subscribed it to were lost. */
export function startAnew(subscriber: Subscriber): void {
  (subscriber as Connection).close(closing("internal", { message: "Publications were lost. Connect again." }));
}

type MessageLimitResult = RateLimitResult & { readonly close?: boolean };

type UnlessExtended = (connection: Connection, act: () => void) => Promise<void>;

/** Notifies a connection of its token's expiry. One exists per connection, so it holds no closures. */
class TokenExpiry implements ExpiryListener {
  readonly #connection: Connection;
  readonly #unlessExtended: UnlessExtended;

  constructor(connection: Connection, unlessExtended: UnlessExtended) {
    this.#connection = connection;
    this.#unlessExtended = unlessExtended;
  }

  expiring(expiresAt: number): void {
    const isBySession = this.#connection.identity.expiresBy === "session";
    this.#act(isBySession, () => this.#connection.emit("auth:expiring", { expiresAt }));
  }

  expired(code: "token_expired" | "session_expired"): void {
    // If the client is the app's, the app is asked again.
    const mayReturn = this.#connection.identity.isFromApp === true ? { reconnect: true } : undefined;
    this.#act(code === "session_expired", () => this.#connection.close(closing(code, mayReturn)));
  }

  #act(isBySession: boolean, act: () => void): void {
    if (isBySession && this.#connection.identity.slidingMs !== undefined)
      void this.#unlessExtended(this.#connection, act);
    else act();
  }
}
