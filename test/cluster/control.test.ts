import { describe, expect, onTestFinished, test } from "vitest";
import { compareCommands, Control, type ControlCommand } from "../../src/cluster/control.ts";
import { createControlStore, leaseMs } from "../../src/cluster/control-store.ts";
import { createFence } from "../../src/cluster/fence.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { within } from "../support/promised.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";

interface TestNode {
  control: Control;
  performed: ControlCommand[];
  dead: string[];
  /** Lines of its log. */
  logged: string[];
  /** As if the process were frozen, but for its tests. */
  pause(): void;
  resume(): void;
}

/** Command types that these tests send. */
const commandTypes = ["test", "early"];

/** Nodes of one gateway, each with its heartbeat; none has sockets. */
async function startNodes(count: number): Promise<TestNode[]> {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const nodes: TestNode[] = [];
  for (let n = 1; n <= count; n++) {
    const performed: ControlCommand[] = [];
    const dead: string[] = [];
    const logged: string[] = [];
    const store = createControlStore({ commands, keys });
    let thaw = Promise.resolve();
    let resume = (): void => undefined;
    const control = new Control({
      store: { ...store, heartbeat: (...args) => thaw.then(() => store.heartbeat(...args)) },
      clock: systemClock,
      log: createLogger({ level: "info", destination: { write: (line) => void logged.push(line) } }),
      nodeId: `n${n}`,
      onAppended: async () => undefined,
    });
    for (const type of commandTypes) control.on(type, (command) => performed.push(command) && n);
    control.onDeadNode((name) => void dead.push(name));
    await control.start();
    onTestFinished(() => control.stop());
    const pause = (): void => void (thaw = new Promise((resolve) => (resume = resolve)));
    nodes.push({ control, performed, dead, logged, pause, resume: () => resume() });
  }
  return nodes;
}

describe("a control command", () => {
  test("is carried out by every living node, counted and confirmed", () =>
    within(leaseMs, async () => {
      const nodes = await startNodes(3);

      const outcome = await nodes[0]!.control.command({ type: "test", of: "all" });

      expect(outcome).toEqual({ count: 1 + 2 + 3, nodes: 3, acknowledged: 3 });
      for (const { performed } of nodes) expect(performed).toEqual([{ type: "test", of: "all" }]);
    }));

  test("given before a node started is not that node's", () =>
    within(leaseMs, async () => {
      const [first] = await startNodes(1);
      await first!.control.command({ type: "early" });

      expect(first!.performed).toEqual([{ type: "early" }]);
    }));

  test("that was given lately is told to a node that starts, oldest first, however many there are", async () => {
    const { redis, keys } = await redisWorld();
    const store = createControlStore({ commands: redis.connection("commands"), keys });
    const all = Array.from({ length: 1_001 }, (_, n) => n);
    for (const n of all) void store.append(JSON.stringify({ type: "test", n }));
    await store.append("not a command");
    const control = new Control({
      store,
      clock: systemClock,
      log: quietLog,
      nodeId: "n1",
      onAppended: async () => undefined,
    });
    const seen: unknown[] = [];
    const ages: number[] = [];

    const ids: string[] = [];
    await control.replayRecent(60_000, ({ n }, id, ageMs) => {
      seen.push(n);
      ids.push(id);
      ages.push(ageMs);
    });

    expect(seen).toEqual(all);
    expect(ids).toEqual(ids.toSorted(compareCommands));
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ages)).toBeLessThan(60_000);
  });

  test("a node that left is not waited for", () =>
    within(leaseMs, async () => {
      const nodes = await startNodes(2);
      await nodes[1]!.control.stop();

      expect(await nodes[0]!.control.command({ type: "test" })).toEqual({ count: 1, nodes: 1, acknowledged: 1 });
    }));

  test("a node that fell silent is asked but does not confirm, and is told dead until it is buried", async () => {
    const { redis, keys } = await redisWorld();
    const store = createControlStore({ commands: redis.connection("commands"), keys });
    await within(leaseMs, async () => {
      for (const name of ["silent", "caller"]) await store.heartbeat(name, undefined);
      expect((await store.append("{}")).asked.toSorted()).toEqual(["caller", "silent"]);
    });

    await eventually(async () => expect((await store.heartbeat("caller", undefined)).dead).toContain("silent"));
    expect((await store.heartbeat("other", undefined)).dead).toContain("silent");
    await store.removeTombstone("silent");

    await within(leaseMs, async () => {
      await store.heartbeat("other", undefined);
      const { dead, leases } = await store.heartbeat("caller", undefined);
      expect(dead).not.toContain("silent");
      expect([...(leases?.keys() ?? [])].toSorted()).toEqual(["caller", "other"]);
    });
  });

  test("living nodes clean up after a dead one, and one that was given up comes back under another name", async () => {
    const [first, second] = await startNodes(2);
    const before = second!.control.incarnation;
    second!.pause();

    await eventually(() => expect(first!.dead).toContain(before));
    second!.resume();

    await eventually(() => expect(second!.control.fence.isOpen).toBe(true));
    expect(second!.control.incarnation).not.toBe(before);
    await eventually(() => expect(first!.control.living).toContain(second!.control.incarnation));
    expect(first!.logged.join("")).toMatch(new RegExp(`"dead":"${before}".*declared dead`));
    const isBack = new RegExp(`"former":"${before}","incarnation":"${second!.control.incarnation}".*this node is back`);
    expect(second!.logged.filter((line) => isBack.test(line))).toHaveLength(1);
    expect(first!.logged.join("")).not.toContain("is back");
  });

  test("a node that was given up cleans up after its former name, and calls nobody dead", async () => {
    const [node] = await startNodes(1);
    const before = node!.control.incarnation;
    // Under load Redis may have renewed the lease later than the node believes, and then it has not expired yet.
    while (node!.control.incarnation === before) {
      node!.pause();
      await eventually(() => expect(node!.control.fence.isOpen).toBe(false));
      node!.resume();
      await eventually(() => expect(node!.control.fence.isOpen).toBe(true));
    }

    await eventually(() => expect(node!.dead).toContain(before));
    expect(node!.logged.join("")).not.toContain("declared dead");
  });
});

describe("the fence", () => {
  test("closes when the lease has ended and opens with the next confirmed heartbeat", async () => {
    const clock = new FakeClock();
    const fence = createFence(clock, 3_000);
    let reopened = 0;
    fence.onReopened(() => reopened++);
    expect(fence.isOpen).toBe(false);

    fence.renew(clock.monotonic());
    expect(fence.isOpen).toBe(true);
    await clock.advance(3_000);
    expect(fence.isOpen).toBe(false);

    let isThrough = false;
    const through = fence.opened().then(() => (isThrough = true));
    fence.renew(clock.monotonic() - 2_999);
    await through;
    expect({ isThrough, isOpen: fence.isOpen, reopened }).toEqual({ isThrough: true, isOpen: true, reopened: 2 });
  });

  test("is waited for no longer than somebody has time", async () => {
    const clock = new FakeClock();
    const fence = createFence(clock, 3_000);

    const [impatient, patient] = [fence.openedWithin(1_000), fence.openedWithin(2_000)];
    await clock.advance(1_000);
    fence.renew(clock.monotonic());

    expect(await Promise.all([impatient, patient, fence.openedWithin(0)])).toEqual([false, true, true]);
  });

  // The fence closes after a lease; one that ends once more gives the node another name.
  test("stays closed until a command that takes rights away was performed", () =>
    within(2 * leaseMs, async () => {
      const [sender, frozen] = await startNodes(2);
      const { promise: performed, resolve: perform } = Promise.withResolvers<number>();
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      frozen!.control.on("rights", () => (begin(), performed), { beforeReopening: true });
      const opened = frozen!.control.fence.opened.bind(frozen!.control.fence);

      frozen!.pause();
      await eventually(() => expect(frozen!.control.fence.isOpen).toBe(false));
      const outcome = sender!.control.command({ type: "rights" });
      frozen!.resume();
      await begun;
      const { incarnation } = frozen!.control;
      // The node is alive meanwhile: its heartbeats go on.
      for (let n = 0; n < 2; n += 1) await sender!.control.command({ type: "test" });

      await eventually(() => expect(frozen!.performed).toHaveLength(2));
      expect(frozen!.control.fence.isOpen).toBe(false);
      perform(1);
      await opened();
      expect(frozen!.control.incarnation).toBe(incarnation);
      expect((await outcome).nodes).toBeGreaterThanOrEqual(1);
    }));

  test("a heartbeat that took longer than the lease does not open it", async () => {
    const clock = new FakeClock();
    const fence = createFence(clock, 3_000);
    const sentAt = clock.monotonic();
    await clock.advance(3_001);

    fence.renew(sentAt);

    expect(fence.isOpen).toBe(false);
  });
});

test("a heartbeat lists the living nodes only if they have changed, also after Redis lost what it had", () =>
  within(leaseMs, async () => {
    const { redis, keys } = await redisWorld();
    const commands = redis.connection("commands");
    const store = createControlStore({ commands, keys });
    const beat = (node: string, version?: string) => store.heartbeat(node, undefined, true, version);
    await store.heartbeat("a", undefined, false);
    await store.heartbeat("b", undefined, false);
    const first = await beat("a", "");
    expect([...(first.leases?.keys() ?? [])].toSorted()).toEqual(["a", "b"]);

    expect((await beat("a", first.version)).leases).toBeUndefined();
    await store.leave("b");
    const second = await beat("a", first.version);
    expect([...(second.leases?.keys() ?? [])]).toEqual(["a"]);

    await commands.del(keys.nodes(), keys.nodesVersion());
    await store.heartbeat("c", undefined, false);
    expect([...((await store.heartbeat("a2", undefined, false, second.version)).leases ?? [])]).toHaveLength(2);
  }));
