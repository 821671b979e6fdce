import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import {
  type Channel,
  type ChannelState,
  type Position,
  type Publication,
  TidegateError,
} from "../../../src/client/client.ts";

import { createMembers, type Members } from "./members.ts";

/** How a publication was received: from the history, live, or recovered. */
export type Origin = "history" | "live" | "recovered";

export type Tone = "calm" | "good" | "bad";

export type ShownPublication = Omit<Publication, "recovered">;

export type FeedItem =
  | { kind: "publication"; key: string; origin: Origin; publication: ShownPublication }
  | { kind: "mark"; key: string; tone: Tone; text: string };

/** One channel as shown by the page. */
export interface Feed {
  readonly name: string;
  readonly channel: Channel;
  readonly items: ReadonlySignal<readonly FeedItem[]>;
  readonly state: ReadonlySignal<ChannelState>;
  readonly position: ReadonlySignal<Position | undefined>;
  readonly members: Members["list"];
  /** Why the gateway refused the subscription. */
  readonly refusal: ReadonlySignal<string | undefined>;
  /** Set to 0 by the view that shows the feed. */
  readonly unread: Signal<number>;
  mark(tone: Tone, text: string): void;
  retry(): void;
  stop(): void;
}

const maxItems = 300;
const historyLimit = 30;

/** Items of a burst are rendered together. */
const flushMs = 16;

export function createFeed(channel: Channel): Feed {
  const items = signal<readonly FeedItem[]>([]);
  const state = signal<ChannelState>(channel.state);
  const position = signal<Position | undefined>(undefined);
  const refusal = signal<string | undefined>(undefined);
  const unread = signal(0);
  const members = createMembers(channel);
  const nextKey = createKeys();
  let waiting: FeedItem[] = [];

  function add(item: FeedItem): void {
    if (waiting.length === 0) setTimeout(flush, flushMs);
    if (waiting.push(item) > maxItems) waiting.shift();
  }

  function flush(): void {
    items.value = [...items.value, ...waiting].slice(-maxItems);
    unread.value += waiting.filter(({ kind }) => kind === "publication").length;
    position.value = channel.position;
    waiting = [];
  }

  const mark = (tone: Tone, text: string): void => add({ kind: "mark", key: nextKey(), tone, text });

  const offs = [
    channel.on("publication", ({ recovered, ...publication }) => {
      const origin = recovered ? "recovered" : "live";
      add({ kind: "publication", key: placeOf(publication) ?? nextKey(), origin, publication });
    }),
    channel.on("recovered", ({ count }) => mark("good", recoveredText(count))),
    channel.on("reset", () => mark("bad", "What was missed is gone; going on from here")),
    channel.on("unsubscribed", ({ code, message, willReturn }) => {
      if (willReturn) mark("bad", `The gateway took the subscription away: ${message} Coming back.`);
      else refusal.value = `${code}: ${message}`;
    }),
    channel.on("state", (changed) => (state.value = changed.state)),
  ];

  async function begin(): Promise<void> {
    refusal.value = undefined;
    const { position: present } = await channel.subscribe();
    position.value = channel.position;
    if (present.offset > 0) await showHistory(present);
  }

  async function showHistory(present: Position): Promise<void> {
    const { publications } = await channel.history({ limit: historyLimit });
    const earlier = publications
      .filter(({ epoch, offset }) => epoch === present.epoch && offset <= present.offset)
      .map((publication) => earlierItem(publication));
    items.value = [...earlier, ...items.value].slice(-maxItems);
  }

  const start = (): void => void begin().catch(ignoreRefusal);
  start();
  return {
    name: channel.name,
    channel,
    items,
    state,
    position,
    members: members.list,
    refusal,
    unread,
    mark,
    retry: start,
    stop() {
      for (const off of offs) off();
      members.stop();
      void channel.unsubscribe();
    },
  };
}

function createKeys(): () => string {
  let count = 0;
  return () => `item-${(count += 1)}`;
}

function earlierItem(publication: ShownPublication & Position): FeedItem {
  return { kind: "publication", key: placeOf(publication) ?? "", origin: "history", publication };
}

/** Undefined if it has no position. */
const placeOf = ({ epoch, offset }: ShownPublication): string | undefined =>
  offset === undefined ? undefined : `${epoch}:${offset}`;

function recoveredText(count: number): string {
  if (count === 0) return "Nothing was missed";
  return `Recovered ${count} missed ${count === 1 ? "publication" : "publications"}`;
}

/** The event has reported a refused subscription, and a channel without a history still works live. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof TidegateError)) throw error;
}
