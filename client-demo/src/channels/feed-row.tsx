import type { FeedItem } from "../model/feed.ts";
import { dataText, shortened, timeOfDay } from "../parts/format.ts";

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
      <span class="offset" title={`epoch ${publication.epoch}`}>
        #{publication.offset}
      </span>
      <span class="data">
        {dataText(publication.data)}
        <span class="small">
          {publication.event} · epoch {shortened(publication.epoch)}
        </span>
      </span>
      <span class="when">
        {tag !== undefined && <span class="tag">{tag}</span>}
        <time dateTime={new Date(publication.publishedAt).toISOString()}>{timeOfDay(publication.publishedAt)}</time>
      </span>
    </li>
  );
}
