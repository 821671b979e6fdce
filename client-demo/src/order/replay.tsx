import { useLayoutEffect, useRef } from "preact/hooks";
import type { Sent } from "../model/replay.ts";
import { statusWord } from "../model/road.ts";
import type { TrackedOrder } from "../model/tracked-order.ts";

/** Sends the whole story shuffled and twice, and shows that the timeline stays right. */
export function Replay({ apiKey, tracked }: { apiKey: string; tracked: TrackedOrder }) {
  const sent = tracked.sent.value;
  return (
    <section class="replay" aria-label="Replay">
      <h2>An upstream that repeats and reorders</h2>
      <div class="row">
        <button type="button" disabled={tracked.attempts.isBusy.value} onClick={() => void tracked.replay(apiKey)}>
          Send its story shuffled, twice
        </button>
      </div>
      {sent.length > 0 && <SentEvents sent={sent} />}
      <p class="hint">
        Held events wait for the ones before them, repeats are duplicates. The timeline above only ever grows, in order.
      </p>
    </section>
  );
}

function SentEvents({ sent }: { sent: readonly Sent[] }) {
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
