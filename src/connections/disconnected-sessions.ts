import type { DeliveryTrail } from "../channels/delivery-trail.ts";
import type { RecoveryRecord } from "../channels/recovery-record-store.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";

/** Kept until the client has reconnected, so that its record can be rewritten. */
export interface DisconnectedSession<Handle> {
  handle: Handle;
  record: RecoveryRecord;
  trail: DeliveryTrail | undefined;
}

/** Max disconnected sessions to remember; the oldest are dropped first and can no longer be rewritten. */
const maxDisconnected = 10_000;

/** Milliseconds between two looks for outdated ones: each passes over what was deleted since the map last grew. */
const sweepMs = 1_000;

/** This node's disconnected sessions that may recover, by owner, oldest first. */
export class DisconnectedSessions<Handle extends { owner: string }> {
  readonly #clock: Clock;
  readonly #windowMs: number;
  /** `until` in monotonic milliseconds. */
  readonly #byOwner = new BoundedMap<string, { session: DisconnectedSession<Handle>; until: number }>(maxDisconnected);
  #sweepAt = -Infinity;

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  /** Remembers a session that has anything to recover. */
  add(session: DisconnectedSession<Handle>): void {
    if (session.record.starts.size === 0 && session.record.socketState === undefined) return;
    const now = this.#clock.monotonic();
    this.#byOwner.set(session.handle.owner, { session, until: now + this.#windowMs });
    if (now >= this.#sweepAt) this.#dropOutdated(now);
  }

  get(owner: string): DisconnectedSession<Handle> | undefined {
    return this.#byOwner.get(owner)?.session;
  }

  forget(isForgotten: (session: DisconnectedSession<Handle>) => boolean): void {
    for (const [owner, { session }] of this.#byOwner.entries()) if (isForgotten(session)) this.#byOwner.delete(owner);
  }

  delete(owner: string): void {
    this.#byOwner.delete(owner);
  }

  /** Forgets a user's sessions, and returns them. */
  takeOf(userId: string): DisconnectedSession<Handle>[] {
    const all = [...this.#byOwner.entries()].map(([, { session }]) => session);
    const taken = all.filter(({ record }) => record.holder.userId === userId);
    for (const { handle } of taken) this.#byOwner.delete(handle.owner);
    return taken;
  }

  /** Of those that may still recover. */
  owners(): string[] {
    this.#dropOutdated(this.#clock.monotonic());
    return [...this.#byOwner.entries()].map(([owner]) => owner);
  }

  #dropOutdated(now: number): void {
    this.#sweepAt = now + sweepMs;
    for (const [owner, { until }] of this.#byOwner.entries()) {
      if (until > now) return;
      this.#byOwner.delete(owner);
    }
  }
}
