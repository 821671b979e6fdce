import type { FeedItem } from "../model/feed.ts";
import { dataText, timeOfDay } from "../parts/format.ts";

const tags = { history: "earlier", live: undefined, recovered: "recovered" };

/** One publication with its position, or a mark between two. */
export function FeedRow({ item }: { item: FeedItem }) {
  if (item.kind === "mark") {
    return (
      <li class={`mark is-${item.tone}`}>
        <span>{item.text}</span>
      </li>
    );
  }
  const { publication, origin } = item;
  const tag = tags[origin];
  return (
    <li class={`publication is-${origin}`}>
      <span class="position" title={`offset ${publication.offset} of epoch ${publication.epoch}`}>
        <span class="epoch">{publication.epoch.slice(0, 4)}:</span>
        {publication.offset}
      </span>
      <span class="data">{dataText(publication.data)}</span>
      <span class="meta">
        {tag !== undefined && <span class="tag">{tag}</span>}
        <span>{publication.event}</span>
        <time dateTime={new Date(publication.publishedAt).toISOString()}>{timeOfDay(publication.publishedAt)}</time>
      </span>
    </li>
  );
}
