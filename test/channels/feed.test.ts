import { expect, test } from "vitest";
import type { FeedMessage } from "../../src/channels/feed-message.ts";
import { createFeed } from "../../src/channels/feed.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { quietLog } from "../support/world.ts";

/** What a node takes from the messages that come on a channel's feed. */
async function taken(...messages: string[]): Promise<FeedMessage[]> {
  let say: (message: Buffer) => void = () => undefined;
  const sharded = {
    subscribe: async (_key: string, onMessage: (message: Buffer) => void) => void (say = onMessage),
    unsubscribe: () => undefined,
    onRestored: () => undefined,
  };
  const heard: FeedMessage[] = [];
  const feed = createFeed({ feed: sharded, keys: createKeys("t"), log: quietLog });
  const receiver = {
    onMessage: (message: FeedMessage) => void heard.push(message),
    onEphemeral: () => undefined,
    onReset: () => undefined,
  };
  await feed.follow('chat:"é', receiver);
  for (const message of messages) say(Buffer.from(message));
  return heard;
}

const packet = (channel: string, epoch: string, offset: number | string, timestamp: string): string =>
  `42["publication",{"channel":${JSON.stringify(channel)},"epoch":"${epoch}","offset":${offset},"event":"e","data":{}},"${timestamp}"]`;

test("a message is taken for what its publishing script wrote", async () => {
  const text = packet('chat:"é', "abc", 7, "1700");

  expect(await taken(`abc:7:1700:1600:${text}`)).toEqual([
    { epoch: "abc", offset: 7, timestamp: 1_700, previousTimestamp: 1_600, packet: Buffer.from(text) },
  ]);
});

test("a channel may begin anew, and be told late of the time before", async () => {
  const of = (epoch: string, offset: number): string =>
    `${epoch}:${offset}:170${offset}:1600:${packet('chat:"é', epoch, offset, `170${offset}`)}`;

  const heard = await taken(of("abc", 9), of("abd", 1), of("abc", 10), of("abcd", 1), of("abcd", 2));

  expect(heard.map(({ epoch, offset }) => [epoch, offset])).toEqual([
    ["abc", 9],
    ["abd", 1],
    ["abc", 10],
    ["abcd", 1],
    ["abcd", 2],
  ]);
});

test.each([
  ["is empty", ""],
  ["has no packet", "abc:7:1700:1600:"],
  ["does not say what it follows", `abc:7:1700:${packet('chat:"é', "abc", 7, "1700")}`],
  ["has no epoch", `:7:1700:1600:${packet('chat:"é', "", 7, "1700")}`],
  ["has an offset that is none", `abc:x:1700:1600:${packet('chat:"é', "abc", "x", "1700")}`],
  ["has an offset before the first", `abc:0:1700:1600:${packet('chat:"é', "abc", 0, "1700")}`],
  [
    "has an offset that is too large",
    `abc:9007199254740993:1700:1600:${packet('chat:"é', "abc", "9007199254740993", "1700")}`,
  ],
  ["says one offset and carries another", `abc:8:1700:1600:${packet('chat:"é', "abc", 7, "1700")}`],
  ["says one epoch and carries another", `abd:7:1700:1600:${packet('chat:"é', "abc", 7, "1700")}`],
  ["says one timestamp and carries another", `abc:7:1701:1600:${packet('chat:"é', "abc", 7, "1700")}`],
  ["is another channel's", `abc:7:1700:1600:${packet("chat:b", "abc", 7, "1700")}`],
  ["is cut off", `abc:7:1700:1600:${packet('chat:"é', "abc", 7, "1700").slice(0, -3)}`],
])("a message that %s is ignored", async (_what, message) => {
  expect(await taken(message)).toEqual([]);
});
