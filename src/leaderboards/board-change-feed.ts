import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";

/**
 * Change notifications, from the script that changes a board to the nodes with subscribers: one when a board gets its
 * first unpublished change. Delivered at most once: the sweep finds changes whose notification was lost.
 */
export interface BoardChangeFeed {
  /** `touched` gets the W3C trace context of the change, '' for none. */
  listen(board: string, touched: Touched): void;
  unlisten(board: string): void;
  /** Retries subscriptions that failed. Cheap if none did. */
  retry(): void;
  /** Called when notifications may have been lost and are received again. */
  onRestored(restored: () => void): void;
}

type Touched = (traceparent: string) => void;

export function createBoardChangeFeed({ feed, keys }: { feed: ShardedFeed; keys: Keys }): BoardChangeFeed {
  const wanted = new Map<string, Touched>();
  const unheard = new Set<string>();

  function hear(board: string, touched: Touched): void {
    unheard.delete(board);
    const receive = (message: Buffer): void => touched(message.toString());
    feed.subscribe(keys.boardTouched(board), receive).catch(() => wanted.has(board) && unheard.add(board));
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
      for (const board of unheard) hear(board, wanted.get(board) as Touched);
    },
    onRestored: (restored) => feed.onRestored(restored),
  };
}
