import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";

/**
 * "This board changed", from the script that changed it to the nodes that watch it: one notice when a board that
 * subscribers know everything of becomes one they do not. At most once: what is lost here is found by the sweep.
 */
export interface Notices {
  listen(board: string, touched: () => void): void;
  unlisten(board: string): void;
  /** Tries again to listen where it failed, the store being away. Cheap where nothing did. */
  retry(): void;
  /** Called when notices may have been lost, and are heard again. */
  onRestored(restored: () => void): void;
}

export function createNotices({ feed, keys }: { feed: ShardedFeed; keys: Keys }): Notices {
  const wanted = new Map<string, () => void>();
  const unheard = new Set<string>();

  function hear(board: string, touched: () => void): void {
    unheard.delete(board);
    feed.subscribe(keys.boardTouched(board), touched).catch(() => wanted.has(board) && unheard.add(board));
  }

  return {
    listen(board, touched) {
      wanted.set(board, touched);
      hear(board, touched);
    },
    unlisten(board) {
      wanted.delete(board);
      unheard.delete(board);
      feed.unsubscribe(keys.boardTouched(board));
    },
    retry() {
      for (const board of unheard) hear(board, wanted.get(board) as () => void);
    },
    onRestored: (restored) => feed.onRestored(restored),
  };
}
