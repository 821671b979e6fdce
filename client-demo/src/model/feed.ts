import { type Signal, signal } from "@preact/signals";
import {
  type Channel,
  type ChannelState,
  type Position,
  type Publication,
  TidegateError,
} from "../../../src/client/client.ts";

/** How a publication came here: before we subscribed, live, or brought back after a cut. */
export type Origin = "history" | "live" | "recovered";

export type FeedItem =
  | { kind: "publication"; key: string; origin: Origin; publication: Omit<Publication, "recovered"> }
  | { kind: "mark"; key: string; tone: "calm" | "good" | "bad"; text: string; at: number };

/** One channel as the page shows it. */
export interface Feed {
  readonly name: string;
  readonly channel: Channel;
  readonly items: Signal<readonly FeedItem[]>;
  readonly state: Signal<ChannelState>;
  readonly position: Signal<Position | undefined>;
  /** Why there is no subscription, where the gateway refused it. */
  readonly refusal: Signal<string | undefined>;
  readonly unread: Signal<number>;
  mark(tone: "calm" | "good" | "bad", text: string): void;
  retry(): void;
  stop(): void;
}

const mostItems = 300;
const historyLimit = 30;

/** Items that come in a burst are shown together. */
const flushMs = 16;

export function createFeed(channel: Channel): Feed {
  const items = signal<readonly FeedItem[]>([]);
  const state = signal<ChannelState>(channel.state);
  const position = signal<Position | undefined>(undefined);
  const refusal = signal<string | undefined>(undefined);
  const unread = signal(0);
  let waiting: FeedItem[] = [];
  let marks = 0;

  function flush(): void {
    items.value = [...items.value, ...waiting].slice(-mostItems);
    position.value = channel.position;
    waiting = [];
  }

  function add(item: FeedItem): void {
    if (waiting.length === 0) setTimeout(flush, flushMs);
    if (waiting.push(item) > mostItems) waiting.shift();
    if (item.kind === "publication" && item.origin !== "history") unread.value += 1;
  }

  function mark(tone: "calm" | "good" | "bad", text: string): void {
    marks += 1;
    add({ kind: "mark", key: `mark-${marks}`, tone, text, at: Date.now() });
  }

  const offs = [
    channel.on("publication", ({ recovered, ...publication }) =>
      add({ kind: "publication", key: keyOf(publication), origin: recovered ? "recovered" : "live", publication }),
    ),
    channel.on("recovered", ({ count }) =>
      mark(
        "good",
        count === 0
          ? "Nothing was missed"
          : `Recovered ${count} missed ${count === 1 ? "publication" : "publications"}`,
      ),
    ),
    channel.on("reset", () => mark("bad", "What was missed is gone; going on from here")),
    channel.on("unsubscribed", ({ code, message, willReturn }) => {
      if (willReturn) mark("bad", `The gateway took the subscription away: ${message} Coming back.`);
      else refusal.value = `${code}: ${message}`;
    }),
    channel.on("state", (changed) => (state.value = changed.state)),
  ];

  async function begin(): Promise<void> {
    refusal.value = undefined;
    try {
      const { position: present } = await channel.subscribe();
      position.value = channel.position;
      if (present.offset > 0) await showHistory(present);
    } catch (error) {
      if (!(error instanceof TidegateError)) throw error;
      // A refused subscription was told by the event; without its history a channel is live all the same.
    }
  }

  async function showHistory(present: Position): Promise<void> {
    const { publications } = await channel.history({ limit: historyLimit });
    const before = publications.filter(({ epoch, offset }) => epoch === present.epoch && offset <= present.offset);
    const earlier = before.map((publication): FeedItem => {
      return { kind: "publication", key: keyOf(publication), origin: "history", publication };
    });
    items.value = [...earlier, ...items.value].slice(-mostItems);
  }

  void begin();
  return {
    name: channel.name,
    channel,
    items,
    state,
    position,
    refusal,
    unread,
    mark,
    retry: () => void begin(),
    stop() {
      for (const off of offs) off();
      void channel.unsubscribe();
    },
  };
}

const keyOf = ({ epoch, offset }: Position): string => `${epoch}-${offset}`;
