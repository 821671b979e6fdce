import { sleep, type Clock } from "../runtime/clock.ts";

/**
 * Whether this node may act. A node that was frozen, or cut off from Redis, for longer than its lease may have missed
 * revocations and must not deliver before it has read them. Uses the monotonic clock, so the first check after a
 * freeze already sees the gap.
 */
export interface Fence {
  /** True while the lease lasts. Cheap: checked for every publication. */
  readonly isOpen: boolean;
  /** A heartbeat sent at `sentAt` (monotonic) was confirmed, and its commands were performed. */
  renew(sentAt: number): void;
  /** A heartbeat failed. */
  failed(error: unknown): void;
  /** Error of the last failed heartbeat. */
  readonly failure: unknown;
  /** The lease ended early, by Redis' clock. */
  close(): void;
  /** Resolves when the fence is open; at once if it is. */
  opened(): Promise<void>;
  /** Resolves to whether it is open, when it is or after `ms`. */
  openedWithin(ms: number): Promise<boolean>;
  /** Called whenever the fence opens after it was closed. */
  onReopened(listener: () => void): void;
}

export function createFence(clock: Clock, leaseMs: number): Fence {
  let openUntil = Number.NEGATIVE_INFINITY;
  let wasSeenClosed = false;
  let failure: unknown;
  const listeners: (() => void)[] = [];
  const waiting = new Set<() => void>();

  const isOpen = (): boolean => {
    const open = clock.monotonic() < openUntil;
    if (!open) wasSeenClosed = true;
    return open;
  };

  const opened = (): Promise<void> =>
    isOpen() ? Promise.resolve() : new Promise((resolve) => void waiting.add(resolve));

  /** Forgets those who waited in vain: while Redis is away, clients that go on sending wait with each message. */
  async function waitFor(ms: number): Promise<void> {
    const opening = new AbortController();
    const open = (): void => opening.abort();
    waiting.add(open);
    await sleep(clock, ms, opening.signal);
    waiting.delete(open);
  }

  return {
    get isOpen() {
      return isOpen();
    },
    renew(sentAt) {
      openUntil = sentAt + leaseMs;
      if (!isOpen() || !wasSeenClosed) return;
      wasSeenClosed = false;
      const opening = [...waiting];
      waiting.clear();
      for (const open of opening) open();
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
    opened,
    async openedWithin(ms) {
      if (!isOpen()) await waitFor(ms);
      return isOpen();
    },
    onReopened: (listener) => void listeners.push(listener),
  };
}
