import type { Clock } from "../runtime/clock.ts";

/**
 * Says whether this node may still act for the cluster. A node that was frozen, or cut off from the store, for longer
 * than its lease may have missed revocations; it must not deliver before it has read them. Time is the monotonic clock's,
 * so the first look after a thaw already sees the gap.
 */
export interface Fence {
  /** True while the lease stands. Cheap: asked for every publication. */
  readonly isOpen: boolean;
  /** A heartbeat that was sent at `sentAt` (monotonic) has been confirmed, and what it brought was carried out. */
  renew(sentAt: number): void;
  /** A heartbeat was not confirmed. */
  failed(error: unknown): void;
  /** Why the last heartbeat that was not confirmed failed. */
  readonly failure: unknown;
  /** The lease has ended before its time, by the store's clock. */
  close(): void;
  /** Resolves when the fence is open; at once where it is. */
  opened(): Promise<void>;
  /** Called whenever the fence opens after it was closed. */
  onReopened(listener: () => void): void;
}

export function createFence(clock: Clock, leaseMs: number): Fence {
  let openUntil = Number.NEGATIVE_INFINITY;
  let wasSeenClosed = false;
  let failure: unknown;
  const listeners: (() => void)[] = [];
  const waiting: (() => void)[] = [];

  const isOpen = (): boolean => {
    const open = clock.monotonic() < openUntil;
    if (!open) wasSeenClosed = true;
    return open;
  };

  return {
    get isOpen() {
      return isOpen();
    },
    renew(sentAt) {
      openUntil = sentAt + leaseMs;
      if (!isOpen() || !wasSeenClosed) return;
      wasSeenClosed = false;
      for (const resolve of waiting.splice(0)) resolve();
      for (const listener of listeners) listener();
    },
    failed(error) {
      failure = error;
    },
    get failure() {
      return failure;
    },
    close() {
      openUntil = Number.NEGATIVE_INFINITY;
      wasSeenClosed = true;
    },
    opened: () => (isOpen() ? Promise.resolve() : new Promise((resolve) => void waiting.push(resolve))),
    onReopened: (listener) => void listeners.push(listener),
  };
}
