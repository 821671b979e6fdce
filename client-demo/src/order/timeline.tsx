import type { TimelineEntry } from "../../../src/client/client.ts";
import { statusWord } from "../model/road.ts";
import { timeOfDay } from "../parts/format.ts";

/** What happened to an order, from its beginning on. */
export function Timeline({ entries }: { entries: readonly TimelineEntry[] }) {
  return (
    <ol class="timeline" aria-label="Timeline" aria-live="polite">
      {entries.map(({ sequence, status, occurredAt }) => (
        <li key={sequence}>
          <span class="timeline-status">{statusWord(status)}</span>
          <span class="timeline-meta">
            #{sequence} · <time dateTime={new Date(occurredAt).toISOString()}>{timeOfDay(occurredAt)}</time>
          </span>
        </li>
      ))}
    </ol>
  );
}
