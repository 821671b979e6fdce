import { expect, onTestFinished, test } from "vitest";
import type { StateSnapshot } from "../../src/protocol/wire.ts";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectClient, type Client } from "../support/gateway.ts";
import { promised, timed } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/world.ts";
import { boardFile, channel, returningReader, set, valuesOf, type ReturningReader } from "./board.ts";

/** More of them, and longer: `STATE_SEEDS=20 STATE_STEPS=2000`. */
const seeds = Number(process.env.STATE_SEEDS ?? 1);
const steps = Number(process.env.STATE_STEPS ?? 150);

const path = `/v1/channels/${encodeURIComponent(channel)}/state`;
const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`);

interface Writer {
  client: Client;
  node: number;
}

async function startNodes(): Promise<Cluster> {
  const cluster = await startCluster({ file: { ...boardFile } });
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function readersOf(cluster: Cluster): Promise<ReturningReader[]> {
  const readers = await Promise.all(
    [0, 1, 2, 0, 1, 2].map(async (node, index) =>
      returningReader(cluster.node(node).url, (await cluster.node(node).signIn(`reader-${index}`)).token),
    ),
  );
  onTestFinished(() => readers.forEach(({ client }) => client.disconnect()));
  await eventually(() => expect(readers.map(({ isUpToDate }) => isUpToDate)).not.toContain(false));
  return readers;
}

const writerOn = async (cluster: Cluster, node: number): Promise<Writer> => ({
  node,
  client: await connectClient(cluster.node(node).url, (await cluster.node(node).signIn("writer")).token),
});

/** What the state must be: the values, and who owns them. What failed is not known until the key is set again. */
class Model {
  readonly values = new Map<string, { value: unknown; owner?: Writer | undefined; expires: boolean }>();
  readonly unknown = new Set<string>();

  set(key: string, value: unknown, owner?: Writer, expires = false): void {
    this.unknown.delete(key);
    if (value === null) this.values.delete(key);
    else this.values.set(key, { value, owner, expires });
  }

  gone(writer: Writer): void {
    for (const [key, { owner }] of this.values) if (owner === writer) this.values.delete(key);
  }

  /** Once everything has expired. */
  get known(): Record<string, unknown> {
    const lasting = [...this.values].filter(([key, { expires }]) => !expires && !this.unknown.has(key));
    return Object.fromEntries(lasting.map(([key, { value }]) => [key, value]));
  }
}

test.each(Array.from({ length: seeds }, (_, index) => index + 1))(
  "readers that are cut, moved and lose their nodes end with the state that was set, seed %i",
  { timeout: 180_000 + steps * 400 },
  async (seed) => {
    const random = seeded(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const cluster = await startNodes();
    const readers = await readersOf(cluster);
    const writers: Writer[] = await Promise.all([0, 1, 2].map((node) => writerOn(cluster, node)));
    const model = new Model();
    const living = new Set([0, 1, 2]);
    const killAt = new Set([Math.floor(steps / 3), Math.floor((2 * steps) / 3)]);
    const anyLiving = (): number => [...living][below(living.size)]!;

    async function kill(): Promise<void> {
      const node = below(3);
      await cluster.node(node).kill();
      living.delete(node);
      for (const reader of readers) if (!reader.client.connected) reader.cut(cluster.node(anyLiving()).url);
      // Its connections are gone, whether or not their clients know it yet.
      model.gone(writers[node]!);
      writers[node]!.client.disconnect();
      await cluster.restart(node);
      living.add(node);
      for (const reader of readers) if (!reader.client.connected) reader.cut(cluster.node(anyLiving()).url);
      writers[node] = await writerOn(cluster, node);
    }

    async function write(n: number): Promise<void> {
      const key = keys[below(keys.length)]!;
      const writer = writers[below(3)]!;
      const value = below(4) === 0 ? null : { n };
      const kind = below(5);
      const more = kind === 0 ? { own: true } : kind === 1 ? { ttlSeconds: 1 } : {};
      model.unknown.add(key);
      const isDone =
        kind === 2
          ? (await cluster.node(anyLiving()).call("POST", path, { changes: [{ key, value }] })).status === 200
          : (await set(writer.client, key, value, more)).ok === true;
      if (isDone) model.set(key, value, kind === 0 ? writer : undefined, kind === 1);
    }

    for (let n = 1; n <= steps; n += 1) {
      if (killAt.has(n)) await kill();
      else if (below(20) === 0) readers[below(readers.length)]!.cut(cluster.node(anyLiving()).url);
      else if (below(40) === 0) {
        const node = below(3);
        writers[node]!.client.disconnect();
        model.gone(writers[node]!);
        writers[node] = await writerOn(cluster, node);
      } else await write(n);
    }

    const fresh = await writerOn(cluster, 0);
    await eventually(async () => {
      const { snapshot } = await fresh.client.emitWithAck("subscribe", { channel });
      const values = valuesOf(snapshot as StateSnapshot);
      const known = Object.fromEntries(Object.entries(values).filter(([key]) => !model.unknown.has(key)));
      expect(known).toEqual(model.known);
      for (const reader of readers) {
        expect(reader.isUpToDate).toBe(true);
        expect(Object.fromEntries(reader.values)).toEqual(values);
      }
    });
    expect(readers.flatMap(({ regressions }) => regressions)).toEqual([]);
    expect(readers.reduce((sum, { returns }) => sum + returns.recovered, 0)).toBeGreaterThan(0);
  },
);

test(
  "keys that connections of a killed node own are gone within three seconds, and only these",
  { timeout: 120_000, ...timed },
  async () => {
    const cluster = await startNodes();
    const [watcher] = await readersOf(cluster);
    const writers = await Promise.all([1, 1, 2].map((node) => writerOn(cluster, node)));
    for (const [index, { client }] of writers.entries()) {
      await set(client, `own-${index}`, { n: 1 }, { own: true });
      await set(client, `own-${index}`, { n: 1 }, { own: true }).then(() => set(client, "shared", { n: index }));
      await client.emitWithAck("state:set", { channel: "board:2", key: `own-${index}`, value: 1, own: true });
    }
    await set(writers[2]!.client, "own-1", { n: 2 }, { own: true });
    await eventually(() => expect(watcher!.values.size).toBe(4));

    await cluster.node(1).kill();
    const killedAt = performance.now();

    await eventually(() =>
      expect(Object.fromEntries(watcher!.values)).toEqual({ "own-1": { n: 2 }, "own-2": { n: 1 }, shared: { n: 2 } }),
    );
    expect(performance.now() - killedAt).toBeLessThan(promised(3_000));
    const other = await writerOn(cluster, 0);
    await eventually(async () => {
      const { snapshot } = await other.client.emitWithAck("subscribe", { channel: "board:2" });
      expect(valuesOf(snapshot)).toEqual({ "own-2": 1 });
    });
  },
);
