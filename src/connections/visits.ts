import type { Authenticator } from "../auth/authenticator.ts";
import type { ExpiryListener, ExpiryWatch, Watch } from "../auth/expiry-watch.ts";
import type { Identity } from "../auth/identity.ts";
import type { Channels } from "../channels/channels.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Fence } from "../cluster/fence.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import { GatewayError } from "../protocol/errors.ts";
import { userChannelOf } from "../protocol/names.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Presence } from "../presence/presence.ts";
import type { Throttling } from "../throttling/throttling.ts";
import { refusalWhileFenced } from "../commands/refusal.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { Connection } from "./connection.ts";
import type { Recovery } from "./recovery.ts";
import type { NodeRevocations } from "./revocations.ts";
import { createSeating, type Caller } from "./seating.ts";
import { createSentOff } from "./sent-off.ts";
import type { Arrival } from "./attendance.ts";
import type { Admitted } from "./admission.ts";
import type { Verdict } from "./verdict.ts";

export interface VisitsDeps {
  authenticator: Pick<Authenticator, "authenticate" | "refresh">;
  channels: Channels;
  expiry: ExpiryWatch;
  revocations: NodeRevocations;
  throttling: Pick<Throttling, "handshake" | "message" | "forget">;
  recovery: Pick<Recovery, "open" | "begin" | "end" | "makeWay">;
  seats: Presence["seats"];
  fence: Fence;
  clock: Clock;
  isDraining: () => boolean;
  /** False where this node cannot let anybody in, for now. */
  isFit: () => boolean;
}

/** What happens to a client from its handshake to its leaving, beside its messages. */
export interface Visits {
  /** May a connection begin? Asked ahead of the handshake, so that a refusal is the transport's. */
  admit(address: string): Promise<Admitted> | Admitted;
  authenticate(token: unknown, caller: Caller): Promise<Identity>;
  /** Gone before the connection was made. */
  abandoned(identity: Identity): void;
  /** A fresh token for an open connection; `renewed` follows. */
  refresh(identity: Identity, token: unknown): Promise<Identity>;
  begin(connection: Connection, arrival: Arrival): Promise<void>;
  throttle(connection: Connection, event: string, bytes: number): Verdict | Promise<Verdict>;
  /** A node that was away answers nothing before it knows what was revoked meanwhile; undefined where it was not. */
  mayAnswer(connection: Connection): Promise<void> | undefined;
  /** Its token was replaced. */
  renewed(connection: Connection): void;
  /** `mayReturn`: its client is expected back. */
  end(connection: Connection, mayReturn: boolean): Promise<void>;
  tellUnsubscribed(subscriber: Subscriber, channel: string, error: GatewayError): void;
}

/** Milliseconds after which a client that came to a node which is going, or has lost its store, may try again. */
const admissionRetryMs = 1_000;

const unfit = "This node is not ready.";
const unfitRetryMs = 5_000;

/** Milliseconds a message waits for a node that has just thawed; a store that is away takes longer. */
const fencePatienceMs = 1_000;

export function createVisits(deps: VisitsDeps): Visits {
  const { authenticator, channels, expiry, revocations, throttling, recovery, seats, fence, clock } = deps;
  const watches = new Map<Connection, Watch>();
  const sentOff = createSentOff(clock);
  const seated = createSeating({ ...deps, sentOff });
  /** Which revocations had come when the identity was asked for. */
  const marks = new WeakMap<Identity, number>();

  async function marked(ask: () => Promise<Identity>): Promise<Identity> {
    const mark = revocations.mark();
    const identity = await ask();
    marks.set(identity, mark);
    return identity;
  }

  const revokedMeanwhile = (identity: Identity): Closing | undefined =>
    revocations.since(marks.get(identity) ?? 0, identity);

  /** A node that was away answers nothing before it knows what was revoked meanwhile. */
  async function slowly(connection: Connection, pending: MessageVerdict | Promise<MessageVerdict>): Promise<Verdict> {
    const verdict = await pending;
    if (!fence.isOpen) await Promise.race([fence.opened(), sleep(clock, fencePatienceMs)]);
    if (!fence.isOpen) throw refusalWhileFenced(fence, fencePatienceMs);
    return closeIfHopeless(connection, verdict);
  }

  async function untilOpen(connection: Connection): Promise<void> {
    while (!fence.isOpen && connection.isOpen) await Promise.race([fence.opened(), sleep(clock, fencePatienceMs)]);
  }

  function closeIfHopeless(connection: Connection, verdict: MessageVerdict): Verdict {
    if (verdict.close !== true || !connection.isOpen) return verdict;
    sentOff.note(connection.identity.sessionId);
    connection.close(closing("rate_limited"));
    return verdict;
  }

  return {
    admit(address) {
      if (deps.isDraining()) return new GatewayError("draining", undefined, { retryAfterMs: admissionRetryMs });
      if (!deps.isFit()) return new GatewayError("unavailable", unfit, { retryAfterMs: unfitRetryMs });
      if (!fence.isOpen) return new GatewayError("unavailable", undefined, { retryAfterMs: admissionRetryMs });
      return throttling.handshake(addressGroup(address));
    },

    authenticate: (token, caller) => marked(() => seated(token, caller)),
    abandoned: ({ sessionId }) => seats.release(sessionId),
    refresh: (identity, token) => marked(() => authenticator.refresh(identity, token)),

    async begin(connection, { privateId, restored }) {
      await untilOpen(connection);
      // Read behind the wait: a token that was brought meanwhile counts from here on.
      const { identity } = connection;
      const revoked = revokedMeanwhile(identity);
      if (revoked !== undefined) return connection.close(revoked);
      // Let in before the drain began, and here too late to be sent elsewhere with the others.
      if (deps.isDraining()) return connection.close(closing("drain"));
      watches.set(connection, expiry.watch(identity, new EndOfToken(connection)));
      if (restored === undefined && privateId !== undefined) recovery.open(connection, privateId);
      if (restored === undefined)
        await channels.follow(connection.subscriber, identity.userId, userChannelOf(identity.userId));
      for (const channel of channels.channelsOf(connection.subscriber)) connection.join(channel);
      await recovery.begin(connection);
      // What it missed and `ready` follow.
      await untilOpen(connection);
    },

    mayAnswer: (connection) => (fence.isOpen ? undefined : untilOpen(connection)),

    throttle(connection, event, bytes) {
      const verdict = throttling.message(connection.id, connection.identity.userId, event, bytes);
      if (verdict instanceof Promise || !fence.isOpen) return slowly(connection, verdict);
      return closeIfHopeless(connection, verdict);
    },

    renewed(connection) {
      const revoked = revokedMeanwhile(connection.identity);
      if (revoked !== undefined) return connection.close(revoked);
      watches.get(connection)?.renew(connection.identity);
      // Behind the acknowledgement, and behind what was let in with the old token and has yet to be entered.
      setImmediate(() => channels.recheck(connection.subscriber, connection.identity));
    },

    async end(connection, mayReturn) {
      watches.get(connection)?.stop();
      watches.delete(connection);
      throttling.forget(connection.id);
      const ended = recovery.end(connection, mayReturn);
      channels.leave(connection.subscriber, mayReturn);
      seats.release(connection.identity.sessionId);
      await ended;
    },

    tellUnsubscribed(subscriber, channel, { code, message }) {
      // A subscriber of this node is always a connection (`socket-connection.ts`).
      const connection = subscriber as unknown as Connection;
      connection.leave(channel);
      connection.emit("unsubscribed", { channel, code, message });
    },
  };
}

type MessageVerdict = Verdict & { readonly close?: boolean };

/** Tells a connection of its token's end; one for each, so without functions of its own. */
class EndOfToken implements ExpiryListener {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  expiring(expiresAt: number): void {
    this.#connection.emit("auth:expiring", { expiresAt });
  }

  expired(code: "token_expired" | "session_expired"): void {
    this.#connection.close(closing(code));
  }
}
