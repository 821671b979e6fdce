import { describe, expect, onTestFinished, test } from "vitest";
import type { Publication } from "../../src/channels/publication.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import type { Position } from "../../src/protocol/scalars.ts";
import { seeded } from "../support/random.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { openKind, reader, record, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const anyone = reader("ada");
const names = ["chat:a", "chat:b", "chat:c"];
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const say = (channel: string) => ({ channel, event: "said", data: "{}" });
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));

/**
 * A stock client knows one thing when it comes back: the timestamp of the last publication it read, of whatever channel. It
 * may have read any prefix of what was written to it.
 */
describe.each([1, 2, 3, 4, 5, 6])("a connection over several channels that is cut at random, seed %d", (seed) => {
  test("misses nothing and reads nothing twice, whichever node it comes back to", async () => {
    const random = seeded(seed);
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const prefix = freshPrefix();
    const nodes = await Promise.all(range(1, 3).map(() => startChannelsNode({ prefix, url: server.url })));
    const node = () => nodes[Math.floor(random() * nodes.length)]!;
    const written = new Map(names.map((name) => [name, 0]));
    let isDone = false;
    const publishing = (async () => {
      while (!isDone) {
        const burst = range(1, 1 + Math.floor(random() * 4)).map(() => names[Math.floor(random() * names.length)]!);
        await Promise.all(burst.map((name) => node().channels.publish(say(name))));
        for (const name of burst) written.set(name, written.get(name)! + 1);
        if (random() < 0.3) await pause();
      }
    })();

    let home = node();
    let subscriber = recordingSubscriber();
    const starts = new Map<string, Position>();
    const read: Publication[] = [];
    for (const name of names) {
      const { epoch, offset } = await home.channels.subscribeUnchecked(subscriber, name);
      starts.set(name, { epoch, offset });
    }
    let timestamp = 0;
    for (let round = 0; round < 40; round++) {
      for (let wait = random() * 6; wait > 0; wait--) await pause();
      if (random() < 0.3) await server.kill("pubsub");
      const prefixLength = Math.floor(random() * (subscriber.seen.length + 1));
      read.push(...subscriber.seen.slice(0, prefixLength));
      timestamp = subscriber.stamps[prefixLength - 1] ?? timestamp;
      home.channels.disconnect(subscriber);
      home = node();
      subscriber = recordingSubscriber();
      const back = subscriber;
      const restored = await eventually(async () => {
        const answer = await home.channels.restore(back, anyone, starts, timestamp);
        if (answer === undefined) throw new Error("not recovered");
        return answer;
      });
      for (const packet of restored.packets()) record(subscriber, packet);
      restored.release();
    }
    isDone = true;
    await publishing;

    const offsetsOf = (name: string) =>
      [...read, ...subscriber.seen].filter(({ channel }) => channel === name).map(({ offset }) => offset);
    for (const name of names) {
      const first = starts.get(name)!.offset + 1;
      await eventually(() => expect(offsetsOf(name)).toEqual(range(first, written.get(name)!)));
    }
    expect(subscriber.stamps).toEqual(subscriber.stamps.toSorted((a, b) => a - b));
  });
});

describe("a connection is not recovered, and nothing is subscribed,", () => {
  const restore = async (
    starts: (epoch: string) => [string, Position][],
    kinds = { chat: openKind, shut: {} },
    timestamp = 0,
  ) => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), kinds });
    const { epoch } = await channels.publish(say("chat:a"));
    for (const _ of range(2, 20)) await channels.publish(say("chat:a"));
    const subscriber = recordingSubscriber();
    const restored = await channels.restore(subscriber, anyone, new Map(starts(epoch)), timestamp);
    return { restored, subscribed: channels.channelsOf(subscriber) };
  };

  test("where one channel's log no longer has what it missed", async () => {
    const kinds = { chat: { ...openKind, history: { size: 5, ttlSeconds: 60 } }, shut: {} };
    const outcome = await restore((epoch) => [["chat:a", { epoch, offset: 2 }]], kinds);
    expect(outcome).toEqual({ restored: undefined, subscribed: [] });
  });

  test("where one channel's epoch has ended", async () => {
    const outcome = await restore((epoch) => [
      ["chat:a", { epoch, offset: 2 }],
      ["chat:b", { epoch: "gone", offset: 0 }],
    ]);
    expect(outcome).toEqual({ restored: undefined, subscribed: [] });
  });

  test("where one channel is no longer allowed", async () => {
    const outcome = await restore((epoch) => [
      ["chat:a", { epoch, offset: 2 }],
      ["shut:b", { epoch, offset: 0 }],
    ]);
    expect(outcome).toEqual({ restored: undefined, subscribed: [] });
  });

  test("and otherwise it is, from the position its subscription began at", async () => {
    const { restored, subscribed } = await restore((epoch) => [["chat:a", { epoch, offset: 2 }]]);
    expect(restored?.packets()).toHaveLength(18);
    expect(subscribed).toEqual(["chat:a"]);
  });
});

test("a connection that cannot be asked about at the moment is neither recovered nor refused, and may try again", async () => {
  const answers = [new GatewayError("unavailable"), new Error("Connection is closed."), true, true];
  const { channels } = await startChannelsNode({
    prefix: freshPrefix(),
    kinds: { order: { history: { size: 1000, ttlSeconds: 60 } } },
    async mayReadOrder() {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer === true;
    },
  });
  const { epoch } = await channels.publish(say("order:o-1"));
  const starts = new Map([["order:o-1", { epoch, offset: 0 }]]);
  const subscriber = recordingSubscriber();

  await expect(channels.restore(subscriber, anyone, starts, 0)).rejects.toThrow("Redis cannot be reached");
  await expect(channels.restore(subscriber, anyone, starts, 0)).rejects.toThrow("Connection is closed.");
  expect(channels.channelsOf(subscriber)).toEqual([]);

  expect((await channels.restore(subscriber, anyone, starts, 0))?.packets()).toHaveLength(1);
});
