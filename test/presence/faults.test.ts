import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { seeded } from "../support/random.ts";
import { freePort, startRedisServer } from "../support/redis-server.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { replay, startPresenceNode, type PresenceNode } from "./presence-node.ts";

const channels = ["chat:a", "chat:b", "chat:c"] as const;
const users = ["ada", "bob", "cem", "dot", "eve"] as const;

type Counts = Record<string, number>;

/** Connections that come and go at random, and what is true of them. */
class Crowd {
  readonly #random: () => number;
  readonly #present: { node: PresenceNode; user: string; channel: string; leave: () => void }[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  move(nodes: readonly PresenceNode[]): void {
    if (this.#random() < 0.45 && this.#present.length > 0) return this.#leave();
    const [node, user, channel] = [this.pick(nodes), this.pick(users), this.pick(channels)];
    this.#present.push({ node, user, channel, leave: node.subscribe(user, channel) });
  }

  /** Everybody on the node is gone with it. */
  forget(node: PresenceNode): void {
    const left = this.#present.filter((one) => one.node !== node);
    this.#present.splice(0, Infinity, ...left);
  }

  members(channel: string): Counts {
    const members: Counts = {};
    for (const { user, channel: theirs } of this.#present) {
      if (theirs === channel) members[user] = (members[user] ?? 0) + 1;
    }
    return members;
  }

  #leave(): void {
    const [one] = this.#present.splice(Math.floor(this.#random() * this.#present.length), 1);
    one?.leave();
  }
}

/** What a client that asked at some time, and was told all diffs since, believes. */
class Watcher {
  readonly #node: PresenceNode;
  readonly #states = new Map<string, { state: Counts; from: number }>();

  constructor(node: PresenceNode) {
    this.#node = node;
  }

  /** Stands in the channels itself, so that the node keeps telling. */
  async ask(): Promise<void> {
    for (const channel of channels) {
      this.#node.subscribe("watcher", channel);
      await eventually(() => this.#node.presence.members.synced(channel));
      const from = this.#node.told.get(channel)?.length ?? 0;
      this.#states.set(channel, { state: await this.#node.members(channel), from });
    }
  }

  believes(channel: string): Counts {
    const { state, from } = this.#states.get(channel) ?? { state: {}, from: 0 };
    return replay(state, (this.#node.told.get(channel) ?? []).slice(from));
  }
}

/** Everybody says the same as the truth: every node when asked, and every client from what it was told. */
async function agree(nodes: readonly PresenceNode[], watchers: readonly Watcher[], crowd: Crowd): Promise<void> {
  for (const channel of channels) {
    const truth = { ...crowd.members(channel), watcher: watchers.length };
    await eventually(async () => {
      for (const node of nodes) expect(await node.members(channel)).toEqual(truth);
      for (const watcher of watchers) expect(watcher.believes(channel)).toEqual(truth);
    });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("every node and every client agree in the end", () => {
  test.each([1, 2, 3, 4, 5, 6])(
    "whatever connections are cut while many come and go (seed %i)",
    { timeout: 120_000 },
    async (seed) => {
      const random = seeded(seed);
      const crowd = new Crowd(random);
      const prefix = freshPrefix();
      const nodes = await Promise.all([1, 2, 3].map(() => startPresenceNode({ prefix })));
      const watchers = nodes.map((node) => new Watcher(node));
      for (const watcher of watchers) await watcher.ask();

      for (let step = 0; step < 300; step++) {
        for (let move = 0; move < 5; move++) crowd.move(nodes);
        if (random() < 0.08) {
          const role = crowd.pick(["commands", "subscriber"] as const);
          crowd.pick(nodes).redis.connection(role).disconnect(true);
        }
        await pause(random() * 6);
      }

      await agree(nodes, watchers, crowd);
    },
  );

  test.each([1, 2])(
    "whichever nodes are frozen past their leases or killed (seed %i)",
    { timeout: 120_000 },
    async (seed) => {
      const random = seeded(seed);
      const crowd = new Crowd(random);
      const prefix = freshPrefix();
      let nodes = await Promise.all([1, 2, 3, 4].map(() => startPresenceNode({ prefix })));
      const watchers = nodes.slice(0, 2).map((node) => new Watcher(node));
      for (const watcher of watchers) await watcher.ask();

      for (let step = 0; step < 400; step++) {
        for (let move = 0; move < 3; move++) crowd.move(nodes);
        if (step === 60) nodes[0]!.freeze();
        if (step === 120) nodes[1]!.freeze();
        if (step === 250) for (const node of nodes) node.thaw();
        if (step === 300) {
          const [killed] = nodes.splice(3, 1) as [PresenceNode];
          killed.kill();
          crowd.forget(killed);
          nodes = [...nodes, await startPresenceNode({ prefix })];
        }
        await pause(random() * 20);
      }

      await agree(nodes, watchers, crowd);
    },
  );

  test.each([
    { what: "empty", args: [], awayMs: 0 },
    { what: "as it was, after every lease has ended", args: ["--appendonly", "yes"], awayMs: 4_000 },
  ])(
    "when the store comes back $what, and nobody is told anything false",
    { timeout: 120_000 },
    async ({ args, awayMs }) => {
      const folder = await mkdtemp(join(tmpdir(), "tidegate-presence-"));
      const options = { port: await freePort(), args, folder };
      let server = await startRedisServer(options);
      onTestFinished(async () => {
        await server.stop();
        await rm(folder, { recursive: true });
      });
      const prefix = freshPrefix();
      const nodes = await Promise.all([1, 2, 3].map(() => startPresenceNode({ prefix, url: server.url })));
      const crowd = new Crowd(seeded(9));
      const watchers = nodes.map((node) => new Watcher(node));
      for (const watcher of watchers) await watcher.ask();
      for (let move = 0; move < 100; move++) crowd.move(nodes);
      await agree(nodes, watchers, crowd);
      const before = nodes.map(({ told }) => channels.map((channel) => told.get(channel)?.length));

      await server.stop();
      await pause(awayMs);
      server = await startRedisServer(options);
      await eventually(() => expect(nodes.every(({ control }) => control.fence.isOpen)).toBe(true));

      await agree(nodes, watchers, crowd);
      expect(nodes.map(({ told }) => channels.map((channel) => told.get(channel)?.length))).toEqual(before);
    },
  );

  test(
    "messages that are lost without a trace are made up for with the next that is heard",
    { timeout: 120_000 },
    async () => {
      const random = seeded(4);
      const prefix = freshPrefix();
      let loss = 0.5;
      const hear = (now: () => void): void => {
        if (random() >= loss) now();
      };
      const nodes = await Promise.all([1, 2, 3].map(() => startPresenceNode({ prefix, hear })));
      const crowd = new Crowd(random);
      const watchers = nodes.map((node) => new Watcher(node));
      for (const watcher of watchers) await watcher.ask();
      for (let step = 0; step < 100; step++) {
        for (let move = 0; move < 3; move++) crowd.move(nodes);
        await pause(random() * 15);
      }
      await pause(100);

      loss = 0;
      for (const channel of channels) nodes[0]!.subscribe("last", channel);

      for (const channel of channels) {
        const truth = { ...crowd.members(channel), watcher: 3, last: 1 };
        await eventually(() =>
          expect(watchers.map((watcher) => watcher.believes(channel))).toEqual([truth, truth, truth]),
        );
      }
    },
  );

  test("a last change that nobody heard of is found", { timeout: 120_000 }, async () => {
    const prefix = freshPrefix();
    const [first, second] = (await Promise.all([1, 2].map(() => startPresenceNode({ prefix })))) as [
      PresenceNode,
      PresenceNode,
    ];
    first.subscribe("ada", "chat:a");
    await first.presence.members.synced("chat:a");
    // As if the feed had lost it: written past it.
    const { commands, keys, control } = second;
    await commands.hset(keys.channelMembers("chat:a"), control.incarnation, keys.channelMembersOf("chat:a", "x"));
    await commands.hset(keys.channelMembersOf("chat:a", "x"), "bob", 1);
    await commands.hincrby(keys.channelMembers("chat:a"), "", 1);

    expect(await first.members("chat:a")).toEqual({ ada: 1, bob: 1 });
  });

  test("on a Redis Cluster", { timeout: 120_000 }, async () => {
    const url = await clusterOfOne();
    const prefix = freshPrefix();
    const nodes = await Promise.all(
      [1, 2].map(() => startPresenceNode({ prefix, url, topology: "cluster", connectionsPerUser: 3 })),
    );
    const crowd = new Crowd(seeded(3));
    const watchers = nodes.map((node) => new Watcher(node));
    for (const watcher of watchers) await watcher.ask();
    for (let move = 0; move < 200; move++) crowd.move(nodes);

    await agree(nodes, watchers, crowd);

    const connectionQuota = await Promise.allSettled(
      [0, 1, 0, 1, 0].map((n) => nodes[n]!.presence.connectionQuota.take("tag.session")),
    );
    expect(connectionQuota.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    const { channels: listed } = await nodes[0]!.presence.list({ prefix: "chat:", limit: 10 });
    expect(listed.map(({ channel }) => channel)).toEqual([...channels]);
  });
});
