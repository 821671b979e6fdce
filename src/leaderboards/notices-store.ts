import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";

/**
 * "This board changed", from the script that changed it to the nodes that watch it: one notice when a board that
 * subscribers know everything of becomes one they do not. At most once: what is lost here is found by the sweep.
 */
export interface Notices {
  listen(board: string, touched: () => void): void;
  unlisten(board: string): void;
  /** Called when the connection stands again and notices may have been lost. */
  onRestored(restored: () => void): void;
}

export function createNotices({ subscriber, keys }: { subscriber: RedisClient; keys: Keys }): Notices {
  const listeners = new Map<string, () => void>();
  subscriber.on("smessage", (key: string) => listeners.get(key)?.());

  return {
    listen(board, touched) {
      const key = keys.boardTouched(board);
      listeners.set(key, touched);
      // Until this is confirmed, and where it fails, the sweep looks.
      subscriber.ssubscribe(key).catch(() => undefined);
    },
    unlisten(board) {
      const key = keys.boardTouched(board);
      listeners.delete(key);
      // A lost connection forgets the subscription by itself.
      subscriber.sunsubscribe(key).catch(() => undefined);
    },
    onRestored: (restored) => void subscriber.on("ready", restored),
  };
}
