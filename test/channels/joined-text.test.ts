import { describe, expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { createKinds } from "../../src/channels/kinds.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "answer:1";
const kinds = { answer: { ...openKind, history: { size: 5, ttlSeconds: 60 }, merge: "append" as const } };
const token = (text: string) => ({ channel, event: "token", data: JSON.stringify(text) });
const ada = reader("ada");

const startNode = (prefix = freshPrefix()) => startChannelsNode({ prefix, kinds });

describe("a kind that appends", () => {
  test("gives late comers one joined text, then what follows, on any node", async () => {
    const prefix = freshPrefix();
    const [near, far] = await Promise.all([startNode(prefix), startNode(prefix)]);
    for (const text of ["The ", 'qu"ick', "\n", "", "\\ fox \u{1f98a}é"]) await near.channels.publish(token(text));

    const late = recordingSubscriber();
    const { snapshot, offset, publications } = await far.channels.subscribe(late, ada, channel);
    await near.channels.publish(token(" jumps"));

    expect({ snapshot, offset, publications }).toEqual({
      snapshot: { text: 'The qu"ick\n\\ fox \u{1f98a}é' },
      offset: 5,
      publications: [],
    });
    await eventually(() => expect(late.seen.map(({ data }) => data)).toEqual([" jumps"]));
  });

  test("joins the halves of a character that was cut in two", async () => {
    const { channels } = await startNode();
    for (const half of ["\ud83e", "\udd8a"]) await channels.publish(token(half));

    const { snapshot } = await channels.subscribe(recordingSubscriber(), ada, channel);

    expect(snapshot).toEqual({ text: "\u{1f98a}" });
  });

  test("keeps the last publication that is no text beside it", async () => {
    const { channels } = await startNode();
    const from = { userId: "model" };
    await channels.publish(token("Hi"));
    await channels.publish({ channel, event: 'us",\\"data":age', data: '{"tokens":1}', from });
    await channels.publish({ channel, event: "done", data: '{"reason":"stop"}', from });

    const { snapshot } = await channels.subscribe(recordingSubscriber(), ada, channel);

    expect(snapshot).toEqual({ text: "Hi", last: { event: "done", data: { reason: "stop" }, from } });
  });

  test("recovers from a position exactly while the log reaches, and with the joined text beyond", async () => {
    const { channels } = await startNode();
    const first = await channels.publish(token("a"));
    for (const text of "bcdef") await channels.publish(token(text));

    const recent = await channels.subscribe(recordingSubscriber(), ada, channel, { ...first, offset: 4 });
    const old = await channels.subscribe(recordingSubscriber(), ada, channel, { ...first, offset: 0 });

    expect(recent).toMatchObject({ recovered: true, publications: [{ data: "e" }, { data: "f" }] });
    expect(recent.snapshot).toBeUndefined();
    expect(old).toMatchObject({ recovered: false, publications: [], snapshot: { text: "abcdef" } });
  });

  test("adds a repeat with the same idempotency key once", async () => {
    const { channels } = await startNode();
    for (const n of [1, 1, 2]) await channels.publish({ ...token("x"), idempotencyKey: `k${n}` });

    const { snapshot } = await channels.subscribe(recordingSubscriber(), ada, channel);

    expect(snapshot).toEqual({ text: "xx" });
  });

  test("refuses what would make the text longer than a mebibyte, and publishes nothing of it", async () => {
    const { channels } = await startNode();
    for (let n = 0; n < 16; n += 1) await channels.publish(token("x".repeat(65_536)));

    await expect(channels.publish(token("y"))).rejects.toMatchObject({ code: "payload_too_large", field: "data" });

    const done = await channels.publish({ channel, event: "done", data: "{}" });
    expect(done.offset).toBe(17);
  });

  test("begins anew when the history is removed, and the text goes with the log's life", async () => {
    const prefix = freshPrefix();
    const { channels, redis } = await startNode(prefix);
    const { channelJoined, channelMeta } = createKeys(prefix);
    const { text, last } = channelJoined(channel);
    const commands = redis.connection("commands");
    /** In seconds from the last publication, however long ago that was. */
    const lifeOf = async (key: string): Promise<number> => {
      const published = Number(await commands.hget(channelMeta(channel), "timestamp")) / 1_000;
      return Math.round(((await commands.pexpiretime(key)) - published) / 1_000);
    };
    await channels.publish(token("old"));
    await channels.publish({ channel, event: "done", data: "{}" });
    const lives = await Promise.all([text, last].map(lifeOf));
    await channels.clearHistory(channel);
    await channels.publish(token("new"));

    const { snapshot } = await channels.subscribe(recordingSubscriber(), ada, channel);

    expect(lives).toEqual([60, 60]);
    expect(snapshot).toEqual({ text: "new" });
  });

  test("is the same for everybody, whenever they come: seeded", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([startNode(prefix), startNode(prefix)]);
    const random = seeded(16);
    const readers: { before: string; seen: { data: unknown }[] }[] = [];
    let whole = "";
    for (let n = 0; n < 200; n += 1) {
      const text = `${n},`.repeat(Math.floor(random() * 3));
      whole += text;
      await nodes[n % 2]!.channels.publish(token(text));
      if (random() > 0.1) continue;
      const late = recordingSubscriber();
      const { snapshot } = await nodes[Math.floor(random() * 2)]!.channels.subscribe(late, ada, channel);
      readers.push({ before: (snapshot as { text: string }).text, seen: late.seen });
    }

    const texts = () => readers.map(({ before, seen }) => before + seen.map(({ data }) => data).join(""));
    await eventually(() => expect(new Set(texts())).toEqual(new Set([whole])));
  });

  test("costs other kinds nothing", () => {
    expect(createKinds({ chat: openKind }).of("chat:1").history).toEqual(openKind.history);
  });
});
