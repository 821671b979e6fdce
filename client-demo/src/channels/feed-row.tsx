import type { FeedItem, ShownPublication } from "../model/feed.ts";
import { dataText, timeOfDay } from "../parts/format.ts";

const tags = { history: "earlier", live: undefined, recovered: "recovered" };

/** A publication with its position, or a note between publications. */
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
      <Place publication={publication} />
      <span class="data">{dataText(publication.data)}</span>
      <span class="meta">
        {tag !== undefined && <span class="tag">{tag}</span>}
        <span>{publication.event}</span>
        <time dateTime={new Date(publication.publishedAt).toISOString()}>{timeOfDay(publication.publishedAt)}</time>
      </span>
    </li>
  );
}

function Place({ publication: { epoch, offset } }: { publication: ShownPublication }) {
  if (epoch === undefined)
    return (
      <span class="position" title="sent live only, past the log">
        live
      </span>
    );
  return (
    <span class="position" title={`offset ${offset} of epoch ${epoch}`}>
      <span class="epoch">{epoch.slice(0, 4)}:</span>
      {offset}
    </span>
  );
}
