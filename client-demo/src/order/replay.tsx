import { useLayoutEffect, useRef } from "preact/hooks";
import type { SentEvent } from "../model/replay.ts";
import { statusWord } from "../model/order-path.ts";
import type { TrackedOrder } from "../model/tracked-order.ts";

/** Sends all events shuffled and twice, and shows that the timeline stays correct. */
export function Replay({ apiKey, tracked }: { apiKey: string; tracked: TrackedOrder }) {
  const sent = tracked.sentEvents.value;
  return (
    <section class="replay" aria-label="Replay">
      <h2>An upstream that repeats and reorders</h2>
      <div class="row">
        <button type="button" disabled={tracked.attempts.isBusy.value} onClick={() => void tracked.replay(apiKey)}>
          Send all events shuffled, twice
        </button>
      </div>
      {sent.length > 0 && <SentEvents sent={sent} />}
      <p class="hint">
        Events that arrive early are held until the previous ones arrive; duplicates are ignored. The timeline above
        only grows, in order.
      </p>
    </section>
  );
}

function SentEvents({ sent }: { sent: readonly SentEvent[] }) {
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    if (list.current !== null) list.current.scrollTop = list.current.scrollHeight;
  }, [sent]);
  return (
    <ol class="sent" aria-label="Sent events, as they went out" tabIndex={0} ref={list}>
      {sent.map(({ key, sequence, status, outcome, tone }) => (
        <li key={key}>
          <span class="sent-sequence">#{sequence}</span>
          <span>{statusWord(status)}</span>
          <span class={`sent-outcome is-${tone}`}>{outcome}</span>
        </li>
      ))}
    </ol>
  );
}
