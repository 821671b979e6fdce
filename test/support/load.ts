import type { Cluster } from "./cluster.ts";
import { History, type Place, type Verdict } from "./history-checker.ts";
import { startPublishers, type Publishers, type PublishersOptions } from "./publishers.ts";
import { seeded } from "./random.ts";
import { projectReader, stockReader, type Reader, type ReaderOptions } from "./readers.ts";
import { eventually } from "./world.ts";

/** Readers and publishers at work on a cluster, and the history they write. */
export interface Load {
  readonly readers: readonly Reader[];
  readonly publishers: Publishers;
  readonly history: History;
  readonly random: () => number;
  /** Resolves when every reader has got something that was published after now; with the milliseconds that took. */
  flows(timeoutMs?: number): Promise<number>;
  /** Publishes no more, waits until every reader has what it is owed or time is up, and judges. */
  settle(timeoutMs?: number): Promise<Verdict>;
  stop(): void;
}

export interface LoadOptions {
  /** Half of them by the project's client, half by a stock one. @default 60 */
  readers?: number;
  /** @default 12 */
  channels?: number;
  /** @default 2 */
  channelsPerReader?: number;
  /** Publications a second, over all channels. @default 200 */
  perSecond?: number;
  /** Where publishers go; asked for each try. @default every node that runs */
  publishAt?: () => readonly string[];
  /** How it publishes; see `publishers.ts`. */
  publishing?: Pick<PublishersOptions, "padding" | "isPatient">;
  seed?: number;
  /** Further readers, of channels that nobody else reads, behind an address of their own. @default none */
  absent?: { url: string; readers: number };
}

/** Readers that connect at the same time. */
const atOnce = 20;

export async function startLoad(cluster: Cluster, options: LoadOptions = {}): Promise<Load> {
  const { readers: readerCount = 60, channels: channelCount = 12, channelsPerReader = 2 } = options;
  const random = seeded(options.seed ?? 1);
  const history = new History();
  const shared = Array.from({ length: channelCount }, (_, index) => `lab:${index}`);
  const { absent } = options;
  const channels = absent === undefined ? shared : shared.concat(shared.map((channel) => `${channel}-absent`));
  const positions = new Map(
    await Promise.all(channels.map(async (name) => [name, await positionOf(cluster, name)] as const)),
  );
  const newest = new Map<string, number>();

  async function startReader(index: number): Promise<Reader> {
    const name = `${index % 2 === 0 ? "project" : "stock"}-${index}`;
    const { token } = await cluster.node(index % cluster.nodes.length).signIn(name);
    const isAbsent = index >= readerCount;
    const own = Array.from(
      { length: channelsPerReader },
      (_, n) => `${shared[(index + n * 5) % channelCount] ?? ""}${isAbsent ? "-absent" : ""}`,
    );
    const reading: ReaderOptions = {
      name,
      url: (isAbsent ? absent?.url : undefined) ?? cluster.url,
      token,
      channels: new Map(own.map((channel) => [channel, positions.get(channel) as Place])),
      history,
      passesOverRepeats: cluster.topology === "cluster",
      onDelivery: (reader, { data }) => void newest.set(reader, data.sentAt),
    };
    return index % 2 === 0 ? projectReader(reading) : stockReader(reading);
  }

  const readers: Reader[] = [];
  const total = readerCount + (absent?.readers ?? 0);
  while (readers.length < total) {
    // A few at a time: how a crowd comes is another test's business.
    const count = Math.min(atOnce, total - readers.length);
    const batch = await Promise.all(Array.from({ length: count }, (_, n) => startReader(readers.length + n)));
    await Promise.all(batch.map(({ opened }) => opened));
    readers.push(...batch);
  }
  const publishers = startPublishers({
    perSecond: options.perSecond ?? 200,
    channels,
    urls: options.publishAt ?? (() => cluster.nodes.filter((node) => node.isRunning()).map(({ url }) => url)),
    history,
    random,
    ...options.publishing,
  });

  const load: Load = {
    readers,
    publishers,
    history,
    random,
    async flows(timeoutMs = 60_000) {
      const since = Date.now();
      await eventually(() => {
        const waiting = readers.filter(({ name }) => (newest.get(name) ?? 0) < since);
        if (waiting.length > 0) throw new Error(`${waiting.length} readers get nothing:\n${statesOf(waiting)}`);
      }, timeoutMs);
      return Date.now() - since;
    },
    async settle(timeoutMs = 30_000) {
      await publishers.finish();
      const isOwing = (): boolean => history.verdict().lost > 0;
      for (const until = Date.now() + timeoutMs; isOwing() && Date.now() < until;)
        await new Promise((resolve) => setTimeout(resolve, 100));
      return history.verdict();
    },
    stop() {
      publishers.stop();
      for (const reader of readers) reader.close();
    },
  };
  await load.flows().catch((error: unknown) => {
    load.stop();
    throw error;
  });
  return load;
}

const statesOf = (readers: readonly Reader[]): string =>
  readers
    .slice(0, 5)
    .map((reader) => `${reader.name} ${reader.state()}`)
    .join("\n");

const positionOf = (cluster: Cluster, channel: string): Promise<Place> =>
  eventually(async () => {
    const { status, body } = await cluster.node(0).call("GET", `/v1/channels/${channel}/history?limit=1`);
    if (status !== 200) throw new Error(`no history of ${channel}: ${status}`);
    return { epoch: body.epoch, offset: body.offset };
  });
