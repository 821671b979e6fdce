import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";

/**
 * "This board changed", from the script that changed it to the nodes that watch it: one notice when a board that
 * subscribers know everything of becomes one they do not. At most once: what is lost here is found by the sweep.
 */
export interface Notices {
  listen(board: string, touched: () => void): void;
  unlisten(board: string): void;
  /** Called when notices may have been lost, and are heard again. */
  onRestored(restored: () => void): void;
}

export function createNotices({ feed, keys }: { feed: ShardedFeed; keys: Keys }): Notices {
  /** Boards that could not be listened to, the store being away. */
  const unheard = new Map<string, () => void>();

  function listen(board: string, touched: () => void): void {
    unheard.delete(board);
    feed.follow(keys.boardTouched(board), touched).catch(() => void unheard.set(board, touched));
  }

  return {
    listen,
    unlisten(board) {
      unheard.delete(board);
      feed.unfollow(keys.boardTouched(board));
    },
    onRestored(restored) {
      feed.onRestored(() => {
        for (const [board, touched] of unheard) listen(board, touched);
        restored();
      });
    },
  };
}
