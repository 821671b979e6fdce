import { useSignal } from "@preact/signals";
import type { Demo } from "../model/demo.ts";
import type { Feed } from "../model/feed.ts";

/** One tab per channel, navigable with the arrow keys, and a form to open another. */
export function ChannelTabs({ demo }: { demo: Demo }) {
  return (
    <div class="tabs">
      <div class="tab-list" role="tablist" aria-label="Open channels" onKeyDown={(event) => step(demo, event)}>
        {demo.feeds.value.map((feed) => (
          <Tab key={feed.name} demo={demo} feed={feed} />
        ))}
      </div>
      <OpenChannel demo={demo} />
    </div>
  );
}

function Tab({ demo, feed }: { demo: Demo; feed: Feed }) {
  const isActive = demo.activeFeed.value === feed;
  const unread = feed.unread.value;
  return (
    <span class={isActive ? "tab is-active" : "tab"}>
      <button
        type="button"
        role="tab"
        id={tabId(feed)}
        aria-selected={isActive}
        aria-controls="channel"
        tabIndex={isActive ? 0 : -1}
        onClick={() => demo.show(feed)}
      >
        <span class={`dot is-${feed.state.value}`} aria-hidden="true" />
        {feed.name}
        {!isActive && unread > 0 && (
          <span class="count" aria-label={`${unread} new`}>
            {unread > 99 ? "99+" : unread}
          </span>
        )}
      </button>
      {/* A list of tabs may contain nothing else: by keyboard, Delete on the tab, or Leave below it. */}
      <button type="button" class="tab-close" aria-hidden="true" tabIndex={-1} onClick={() => demo.leave(feed)}>
        ×
      </button>
    </span>
  );
}

function OpenChannel({ demo }: { demo: Demo }) {
  const name = useSignal("");

  function open(event: Event): void {
    event.preventDefault();
    demo.open(name.value.trim());
    name.value = "";
  }

  return (
    <form class="open-channel" onSubmit={open}>
      <input
        aria-label="Channel to open"
        placeholder="Open a channel"
        list="known-channels"
        maxLength={256}
        required
        pattern=".*\S.*"
        value={name}
        onInput={(event) => (name.value = event.currentTarget.value)}
      />
      <datalist id="known-channels">
        {["chat:lobby", "chat:kitchen", "news:today", `user:${demo.login.name}`].map((known) => (
          <option key={known} value={known} />
        ))}
      </datalist>
      <button type="submit">Open</button>
    </form>
  );
}

/** Encoded, because ARIA separates ids by spaces, which names may contain. */
export const tabId = (feed: Feed): string => `tab-${encodeURIComponent(feed.name)}`;

function step(demo: Demo, event: KeyboardEvent): void {
  const feeds = demo.feeds.value;
  const active = demo.activeFeed.value;
  if (event.key === "Delete" && active !== undefined) return demo.leave(active);
  const index = feeds.findIndex((feed) => feed === active);
  const targets: Record<string, number> = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: -1 };
  const target = targets[event.key];
  const feed = target === undefined ? undefined : feeds.at(target % feeds.length);
  if (feed === undefined) return;
  event.preventDefault();
  demo.show(feed);
  document.getElementById(tabId(feed))?.focus();
}
