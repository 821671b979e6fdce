import { useEffect, useState } from "preact/hooks";
import { noteFailure } from "./session.ts";

/** What a view shows: the last data, and whether it still holds. */
export interface Polled<T> {
  data: T | undefined;
  error: string | undefined;
  /** True if the last attempt failed and `data` is from before it. */
  isStale: boolean;
  reload: () => void;
}

/** Loads at once and then every `everyMs`, while the page is visible; once only if `everyMs` is undefined. */
export function usePoll<T>(load: () => Promise<T>, inputs: readonly unknown[], everyMs?: number): Polled<T> {
  const [state, setState] = useState<{ data?: T; error?: string }>({});
  const [turn, setTurn] = useState(0);

  useEffect(() => setState({}), inputs);
  useEffect(() => {
    let isCurrent = true;
    let [started, shown] = [0, 0];
    /** A slow answer never replaces that of a later request. */
    const show = (number: number, update: (previous: { data?: T }) => { data?: T; error?: string }): void => {
      if (!isCurrent || number < shown) return;
      shown = number;
      setState(update);
    };
    const run = async (): Promise<void> => {
      if (document.hidden) return;
      const number = (started += 1);
      try {
        const data = await load();
        show(number, () => ({ data }));
      } catch (error) {
        noteFailure(error);
        const message = error instanceof Error ? error.message : String(error);
        show(number, ({ data }) => ({ ...(data === undefined ? {} : { data }), error: message }));
      }
    };
    // A page that was opened in the background loads when it is looked at.
    const lookedAt = (): void => void ((started === 0 || everyMs !== undefined) && run());
    document.addEventListener("visibilitychange", lookedAt);
    void run();
    const timer = everyMs === undefined ? undefined : setInterval(() => void run(), everyMs);
    return () => {
      isCurrent = false;
      document.removeEventListener("visibilitychange", lookedAt);
      clearInterval(timer);
    };
  }, [...inputs, turn]);

  const { data, error } = state;
  return { data, error, isStale: error !== undefined && data !== undefined, reload: () => setTurn(turn + 1) };
}
