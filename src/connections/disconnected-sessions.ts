import type { DeliveryTrail } from "../channels/delivery-trail.ts";
import type { RecoveryRecord } from "../channels/recovery-record-store.ts";
import type { Clock } from "../runtime/clock.ts";

/** Kept until the client has reconnected, so that its record can be rewritten. */
export interface DisconnectedSession<Handle> {
  handle: Handle;
  record: RecoveryRecord;
  trail: DeliveryTrail | undefined;
}

/** Max disconnected sessions to remember; the oldest are dropped first and can no longer be rewritten. */
const maxDisconnected = 10_000;

/** This node's disconnected sessions that may recover, by owner, oldest first. */
export class DisconnectedSessions<Handle extends { owner: string }> {
  readonly #clock: Clock;
  readonly #windowMs: number;
  /** `until` in monotonic milliseconds. */
  readonly #byOwner = new Map<string, { session: DisconnectedSession<Handle>; until: number }>();

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  /** Remembers a session that has subscriptions. */
  add(session: DisconnectedSession<Handle>): void {
    if (session.record.starts.size === 0) return;
    this.#byOwner.set(session.handle.owner, { session, until: this.#clock.monotonic() + this.#windowMs });
    this.#dropOutdated();
  }

  get(owner: string): DisconnectedSession<Handle> | undefined {
    return this.#byOwner.get(owner)?.session;
  }

  forget(isForgotten: (session: DisconnectedSession<Handle>) => boolean): void {
    for (const [owner, { session }] of this.#byOwner) if (isForgotten(session)) this.#byOwner.delete(owner);
  }

  delete(owner: string): void {
    this.#byOwner.delete(owner);
  }

  /** Forgets a user's sessions, and returns them. */
  takeOf(userId: string): DisconnectedSession<Handle>[] {
    const taken = [...this.#byOwner.values()].filter(({ session }) => session.record.holder.userId === userId);
    for (const { session } of taken) this.#byOwner.delete(session.handle.owner);
    return taken.map(({ session }) => session);
  }

  /** Of those that may still recover. */
  owners(): string[] {
    this.#dropOutdated();
    return [...this.#byOwner.keys()];
  }

  #dropOutdated(): void {
    for (const [owner, { until }] of this.#byOwner) {
      if (until > this.#clock.monotonic() && this.#byOwner.size <= maxDisconnected) return;
      this.#byOwner.delete(owner);
    }
  }
}
