import { useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Demo } from "../model/demo.ts";
import type { Feed } from "../model/feed.ts";
import { shortened } from "../parts/format.ts";
import { Refusal } from "../parts/refusal.tsx";
import { tabId } from "./channel-tabs.tsx";
import { Compose } from "./compose.tsx";
import { FeedRow } from "./feed-row.tsx";
import { MemberList } from "./member-list.tsx";

/** The selected channel: its status, its publications, and a form to publish. */
export function ChannelView({ demo }: { demo: Demo }) {
  const feed = demo.activeFeed.value;
  if (feed === undefined) return <p class="empty">No channel is open. Open one above; “chat:lobby” will do.</p>;
  return (
    <div id="channel" class="channel" role="tabpanel" aria-labelledby={tabId(feed)} key={feed.name}>
      <ChannelStatus feed={feed} ownName={demo.login.name} onLeave={() => demo.leave(feed)} />
      <FeedList feed={feed} />
      <Compose feed={feed} isRefused={feed.refusal.value !== undefined} />
    </div>
  );
}

const stateNames = {
  unsubscribed: "Not subscribed",
  subscribing: "Subscribing…",
  subscribed: "Subscribed",
  recovering: "Recovering…",
};

function ChannelStatus({ feed, ownName, onLeave }: { feed: Feed; ownName: string; onLeave: () => void }) {
  const position = feed.position.value;
  return (
    <div class="channel-status">
      <span>{stateNames[feed.state.value]}</span>
      {position !== undefined && (
        <>
          <span>
            offset <b class="position-offset">{position.offset}</b>
          </span>
          <span title={position.epoch}>
            epoch <code>{shortened(position.epoch)}</code>
          </span>
        </>
      )}
      <MemberList feed={feed} ownName={ownName} />
      <button type="button" class="quiet" aria-label={`Leave ${feed.name}`} onClick={onLeave}>
        Leave
      </button>
    </div>
  );
}

function FeedList({ feed }: { feed: Feed }) {
  const list = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const items = feed.items.value;

  useSignalEffect(() => {
    if (feed.unread.value > 0) feed.unread.value = 0;
  });
  useLayoutEffect(() => {
    if (isAtEnd.current && list.current !== null) list.current.scrollTop = list.current.scrollHeight;
  }, [items]);

  function noteEnd({ currentTarget: { scrollTop, clientHeight, scrollHeight } }: { currentTarget: HTMLElement }): void {
    isAtEnd.current = scrollTop + clientHeight > scrollHeight - 24;
  }

  if (feed.refusal.value !== undefined) return <Refusal text={feed.refusal.value} onRetry={feed.retry} />;
  if (items.length === 0) return <p class="empty feed">Nothing was published here yet. Say something below.</p>;
  return (
    <div class="feed" role="log" aria-label={`Publications of ${feed.name}`} tabIndex={0} ref={list} onScroll={noteEnd}>
      <ol>
        {items.map((item) => (
          <FeedRow key={item.key} item={item} />
        ))}
      </ol>
    </div>
  );
}
