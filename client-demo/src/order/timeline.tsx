import type { TimelineEntry } from "../../../src/client/client.ts";
import { statusWord } from "../model/order-path.ts";
import { isoTime, timeOfDay } from "../parts/format.ts";

/** The statuses of an order, oldest first. */
export function Timeline({ entries }: { entries: readonly TimelineEntry[] }) {
  return (
    <ol class="timeline" aria-label="Timeline" aria-live="polite">
      {entries.map(({ sequence, status, occurredAt }) => (
        <li key={sequence}>
          <span class="timeline-status">{statusWord(status)}</span>
          <span class="timeline-meta">
            #{sequence} · <time dateTime={isoTime(occurredAt)}>{timeOfDay(occurredAt)}</time>
          </span>
        </li>
      ))}
    </ol>
  );
}
