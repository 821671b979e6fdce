import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FeedHubLink } from "../../src/redis/pubsub/feed-hub-link.ts";
import { FeedHub } from "../../src/redis/pubsub/feed-hub.ts";
import type { ShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { seeded } from "../support/random.ts";
import { quietLog } from "../support/world.ts";

type OnMessage = (message: Buffer) => void;

/** A feed that confirms, or refuses, when the test says so; a key receives from then on. */
function createFeed() {
  const confirmed = new Map<string, OnMessage>();
  const wanted = new Map<string, OnMessage>();
  const answers: ((isConfirmed: boolean) => void)[] = [];
  const feed: ShardedFeed = {
    subscribe(key, onMessage) {
      wanted.set(key, onMessage);
      return new Promise((resolve, reject) => {
        answers.push((isConfirmed) => {
          if (!isConfirmed) return reject(new Error("Connection is closed."));
          const latest = wanted.get(key);
          if (latest === onMessage) confirmed.set(key, onMessage);
          resolve();
        });
      });
    },
    unsubscribe(key) {
      wanted.delete(key);
      confirmed.delete(key);
    },
    onRestored: () => undefined,
  };
  return { feed, answers, publish: (key: string, text: string) => confirmed.get(key)?.(Buffer.from(text)) };
}

async function startHub(feed: ShardedFeed, workers: number) {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-hub-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "feed");
  const hub = new FeedHub({ feed, isHealthy: () => true, log: quietLog }, { path });
  await hub.start();
  onTestFinished(() => hub.stop());
  // It stands still: on a busy machine nothing times out.
  const clock = new FakeClock();
  return Promise.all(Array.from({ length: workers }, () => FeedHubLink.open(path, clock)));
}

interface Follower {
  key: string;
  isConfirmed: boolean;
  expected: string[];
  heard: string[];
}

async function follow(seed: number, steps: number) {
  const random = seeded(seed);
  const pick = (count: number): number => Math.floor(random() * count);
  const { feed, answers, publish } = createFeed();
  const links = await startHub(feed, 2);
  const live = links.map(() => new Map<string, Follower>());
  let published = 0;

  const subscribe = (worker: number, key: string): void => {
    const follower: Follower = { key, isConfirmed: false, expected: [], heard: [] };
    live[worker]?.set(key, follower);
    links[worker]
      ?.subscribe(key, (message) => void follower.heard.push(message.toString()))
      .then(
        () => void (follower.isConfirmed = true),
        () => undefined,
      );
  };
  const unsubscribe = (worker: number, key: string): void => {
    links[worker]?.unsubscribe(key);
    live[worker]?.delete(key);
  };
  const publishOne = (key: string): void => {
    const text = `${++published}`;
    for (const followers of live) {
      const follower = followers.get(key);
      if (follower?.isConfirmed === true) follower.expected.push(text);
    }
    publish(key, text);
  };

  for (let step = 0; step < steps; step++) {
    const [worker, key, what] = [pick(2), `key ${pick(2)}`, random()];
    if (what < 0.3) (live[worker]?.has(key) ? unsubscribe : subscribe)(worker, key);
    else if (what < 0.5) answers.splice(pick(answers.length), 1)[0]?.(random() < 0.9);
    else if (what < 0.7) publishOne(key);
    else if (what < 0.9) await Promise.resolve();
    else await settled();
  }
  for (const answer of answers.splice(0)) answer(true);
  for (let turn = 0; turn < 50; turn++) await settled();
  for (const key of ["key 0", "key 1"]) publishOne(key);
  for (let turn = 0; turn < 50; turn++) await settled();
  for (const link of links) link.close();
  return live.flatMap((followers) => [...followers.values()]).filter(({ isConfirmed }) => isConfirmed);
}

test("workers that come and go receive everything from the confirmation of a key on", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    for (const { key, expected, heard } of await follow(seed, 300)) {
      const missed = expected.filter((text) => !heard.includes(text));
      expect({ seed, key, missed, repeated: heard.length - new Set(heard).size }).toEqual({
        seed,
        key,
        missed: [],
        repeated: 0,
      });
    }
  }
});
