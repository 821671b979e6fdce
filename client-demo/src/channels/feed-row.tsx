import type { FeedItem, ShownPublication } from "../model/feed.ts";
import { dataText, isoTime, timeOfDay } from "../parts/format.ts";

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
        <Author from={publication.from} />
        <span>{publication.event}</span>
        <time dateTime={isoTime(publication.publishedAt)}>{timeOfDay(publication.publishedAt)}</time>
      </span>
    </li>
  );
}

/** The gateway writes it: nothing that a client puts into its data can change it. */
function Author({ from }: { from: ShownPublication["from"] | undefined }) {
  if (from === undefined) return <span class="author is-backend">a backend</span>;
  return (
    <span class="author" title={`connection ${from.connectionId ?? "of a backend"}`}>
      {from.userId}
    </span>
  );
}

function Place({ publication: { epoch, offset } }: { publication: ShownPublication }) {
  if (epoch === undefined)
    return (
      <span class="position" title="ephemeral: without an offset, not in the history">
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
