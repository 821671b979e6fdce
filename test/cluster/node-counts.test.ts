import { describe, expect, test } from "vitest";
import {
  addTo,
  emptyNames,
  NodeCounts,
  writeNames,
  type CountWrite,
  type NamedCounts,
} from "../../src/cluster/node-counts.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

interface Written extends CountWrite {
  key: string;
  counts: Record<string, number>;
}

/** One node that counts names by key, over a store that answers when the test says so. */
function startNode({ ttlSeconds }: { ttlSeconds?: number } = {}) {
  const clock = new FakeClock();
  const written: Written[] = [];
  const node = { name: "n1", hasLease: true, answer: (): Promise<void> => Promise.resolve() };
  const counts = new NodeCounts<NamedCounts>(
    {
      create: emptyNames,
      isEmpty: (local) => local.counts.size === 0,
      write: (key, local, as) =>
        writeNames(local, as.isWhole, (names) => {
          written.push({ ...as, key, counts: Object.fromEntries(names) });
          return node.answer();
        }),
      incarnation: () => node.name,
      mayWrite: () => node.hasLease,
      clock,
      log: quietLog,
    },
    { description: "counts", intervalMs: 10, batchSize: 200, ...(ttlSeconds !== undefined && { ttlSeconds }) },
  );
  counts.start();
  const change = (key: string, name: string, by: 1 | -1): void => {
    const local = counts.of(key);
    addTo(local.counts, name, by);
    local.dirty.add(name);
    counts.changed(key, local);
  };
  const after = (ms: number): Promise<void> => clock.advance(ms);
  return { counts, node, written, change, after };
}

describe("what a node counts", () => {
  test("is written again after a write that threw at once", async () => {
    let isBroken = true;
    let writes = 0;
    const counts = new NodeCounts<NamedCounts>(
      {
        create: emptyNames,
        isEmpty: () => false,
        write: () => {
          if (isBroken) throw new Error("broken");
          writes += 1;
          return Promise.resolve();
        },
        incarnation: () => "n1",
        mayWrite: () => true,
        clock: new FakeClock(),
        log: quietLog,
      },
      { description: "counts", intervalMs: 10, batchSize: 200 },
    );

    await expect(counts.update("chat:a", counts.of("chat:a"))).rejects.toThrow("broken");
    isBroken = false;

    await counts.flush("chat:a");
    expect(writes).toBe(1);
  });

  test("is written soon, each time only what has changed, and 0 for what is gone", async () => {
    const { written, change, after } = startNode();
    change("chat:a", "ada", 1);
    change("chat:a", "ada", 1);
    change("chat:a", "bob", 1);
    await after(10);
    change("chat:a", "bob", -1);
    await after(10);

    const as = { key: "chat:a", node: "n1", formerNode: undefined, isWhole: false };
    expect(written).toEqual([
      { ...as, counts: { ada: 2, bob: 1 } },
      { ...as, counts: { bob: 0 } },
    ]);
  });

  test("is written once at a time per key, and whoever waits waits for a write with its own change", async () => {
    const { counts, node, written, change } = startNode();
    const answers: (() => void)[] = [];
    node.answer = () => new Promise((resolve) => answers.push(resolve));
    change("chat:a", "ada", 1);
    const first = counts.flush("chat:a");
    await settled();
    change("chat:a", "bob", 1);
    const told: string[] = [];
    const waiting = ["second", "third"].map((name) => counts.flush("chat:a").then(() => told.push(name)));
    expect(written).toHaveLength(1);

    answers.shift()?.();
    await first;
    await settled();
    expect({ written: written.length, told }).toEqual({ written: 2, told: [] });

    answers.shift()?.();
    await Promise.all(waiting);
    expect(written.map((write) => write.counts)).toEqual([{ ada: 1 }, { bob: 1 }]);
  });

  test("is written again after a failure, which whoever waits is told", async () => {
    const { counts, node, written, change, after } = startNode();
    node.answer = () => Promise.reject(new Error("Connection is closed."));
    change("chat:a", "ada", 1);
    await expect(counts.flush("chat:a")).rejects.toThrow("Connection is closed.");
    change("chat:a", "bob", 1);
    node.answer = () => Promise.resolve();
    await after(10);

    expect(written.map((write) => write.counts)).toEqual([{ ada: 1 }, { ada: 1, bob: 1 }]);
  });

  test("is not written without a lease, and then whole under the new name, with the name that is void", async () => {
    const { counts, node, written, change, after } = startNode();
    change("chat:a", "ada", 1);
    change("chat:b", "bob", 1);
    await after(10);
    node.hasLease = false;
    change("chat:a", "cem", 1);
    await after(1_000);
    await expect(counts.flush("chat:a")).rejects.toThrow("Connection is closed.");
    expect(written).toHaveLength(2);

    node.name = "n2";
    node.hasLease = true;
    counts.rewriteAll();
    await after(10);

    const as = { node: "n2", formerNode: "n1", isWhole: true };
    expect(written.slice(2)).toEqual([
      { ...as, key: "chat:a", counts: { ada: 1, cem: 1 } },
      { ...as, key: "chat:b", counts: { bob: 1 } },
    ]);
  });

  test("is written whole again before its TTL ends", async () => {
    const { written, change, after } = startNode({ ttlSeconds: 80 });
    change("chat:a", "ada", 1);
    await after(10);
    await after(10_000);
    await after(10);

    expect(written.at(-1)).toMatchObject({ isWhole: true, counts: { ada: 1 } });
    expect(written).toHaveLength(2);
  });

  test("that is nothing is kept for a while, to be written again, and then forgotten", async () => {
    const { counts, written, change, after } = startNode();
    change("chat:a", "ada", 1);
    change("chat:a", "ada", -1);
    change("chat:b", "bob", 1);
    await after(10);
    await after(60_000);
    counts.rewriteAll();
    await after(10);
    expect(written.slice(2).map(({ key }) => key)).toEqual(["chat:a", "chat:b"]);

    await after(60_000);
    await after(60_000);
    expect([counts.get("chat:a"), counts.get("chat:b")?.counts.size]).toEqual([undefined, 1]);
  });
});
