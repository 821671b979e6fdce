import { type ReadonlySignal, computed, signal } from "@preact/signals";
import { type Client, type ClientState, connect, type Ready, type TidegateError } from "../../../src/client/client.ts";
import { createFeed, type Feed } from "./feed.ts";
import { freshToken, type Login } from "./login.ts";
import { createNotes, type Notes } from "./notes.ts";
import { createBucketEstimate, type BucketEstimate } from "./bucket-estimate.ts";
import { createRouter, type Route } from "./route.ts";

/** The model of the page for one signed-in user: client, connection and channels. */
export interface Demo {
  readonly login: Login;
  readonly client: Client;
  readonly route: ReadonlySignal<Route>;
  /** This page's estimate of the user's token bucket. */
  readonly bucket: BucketEstimate;
  readonly state: ReadonlySignal<ClientState>;
  readonly ready: ReadonlySignal<Ready | undefined>;
  readonly roundTripMs: ReadonlySignal<number | undefined>;
  /** True while the gateway answers that its store cannot be reached: the connection stays, and nothing can be written. */
  readonly isDegraded: ReadonlySignal<boolean>;
  /** Why there is no connection, and when the next attempt follows. */
  readonly problem: ReadonlySignal<{ error: TidegateError; retryAt: number | undefined } | undefined>;
  readonly notes: Notes;
  readonly feeds: ReadonlySignal<readonly Feed[]>;
  readonly activeFeed: ReadonlySignal<Feed | undefined>;
  /** Opens the channel, or shows it if it is open. */
  open(channel: string): void;
  show(feed: Feed): void;
  leave(feed: Feed): void;
  /** Drops the connection and does not reconnect for `awayMs`. */
  cut(awayMs: number): void;
  stop(): void;
}

const channelsKey = "tidegate.channels";
const pulseMs = 5_000;
const storeAway: readonly string[] = ["unavailable", "writes_refused", "timeout"];

export function createDemo(login: Login): Demo {
  const clientState = signal<ClientState>("connecting");
  const isAway = signal(false);
  const state = computed(() =>
    isAway.value && clientState.value === "connecting" ? "disconnected" : clientState.value,
  );
  const ready = signal<Ready | undefined>(undefined);
  const roundTripMs = signal<number | undefined>(undefined);
  const isDegraded = signal(false);
  const trouble = signal<{ error: TidegateError; retryAt: number | undefined } | undefined>(undefined);
  const feeds = signal<readonly Feed[]>([]);
  const activeName = signal("");
  const notes = createNotes();
  const router = createRouter();
  let isTokenStale = false;
  let away: Promise<void> | undefined;

  async function token(): Promise<string> {
    await away;
    if (!isTokenStale && login.expiresAt > Date.now()) return login.token;
    isTokenStale = false;
    return freshToken(login);
  }

  const client = connect(location.origin, { token });
  notes.follow(client);
  const bucket = createBucketEstimate(login.messages);
  client.socket.onAnyOutgoing((event: string) => bucket.sent(event));
  client.on("state", (changed) => {
    clientState.value = changed.state;
    const { error, retryInMs } = changed;
    if (changed.state === "connected") trouble.value = undefined;
    if (error === undefined) return;
    trouble.value = { error, retryAt: retryInMs === undefined ? undefined : Date.now() + retryInMs };
    for (const feed of feeds.value) if (changed.previous !== "connecting") feed.mark("bad", "The connection was cut");
  });
  client.on("ready", (greeting) => (ready.value = greeting));
  client.on("expiring", () => (isTokenStale = true));

  const pulse = setInterval(() => {
    if (client.state === "connected") beat();
  }, pulseMs);
  /** Asks for something that needs the store. */
  const beat = (): void =>
    void client.sessions.list().then(
      () => {
        roundTripMs.value = client.roundTripMs;
        isDegraded.value = false;
      },
      ({ code }: TidegateError) => (isDegraded.value = storeAway.includes(code)),
    );

  const activeFeed = computed(() => feeds.value.find(({ name }) => name === activeName.value) ?? feeds.value[0]);
  const remember = (): void => sessionStorage.setItem(channelsKey, JSON.stringify(feeds.value.map(({ name }) => name)));

  function open(channel: string): void {
    activeName.value = channel;
    if (feeds.value.some(({ name }) => name === channel)) return;
    feeds.value = [...feeds.value, createFeed(client.channel(channel))];
    remember();
  }

  const demo: Demo = {
    login,
    client,
    route: router.route,
    bucket,
    state,
    ready,
    roundTripMs,
    isDegraded,
    problem: trouble,
    notes,
    feeds,
    activeFeed,
    open,
    show: (feed) => void (activeName.value = feed.name),
    leave(feed) {
      feeds.value = feeds.value.filter((other) => other !== feed);
      feed.stop();
      remember();
    },
    cut(awayMs) {
      isAway.value = true;
      away = new Promise((resolve) => setTimeout(resolve, awayMs));
      void away.then(() => (isAway.value = false));
      client.socket.io.engine.close();
    },
    stop() {
      clearInterval(pulse);
      router.stop();
      client.close();
    },
  };
  for (const channel of rememberedChannels()) open(channel);
  activeName.value = feeds.value[0]?.name ?? "";
  client.on("ready", beat);
  return demo;
}

function rememberedChannels(): string[] {
  const kept = sessionStorage.getItem(channelsKey);
  return kept === null ? ["chat:lobby"] : (JSON.parse(kept) as string[]);
}
