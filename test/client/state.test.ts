import { describe, expect, test } from "vitest";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { client, cut, whole } from "./support.ts";

const unhindered = { capacity: 100_000_000, refillPerSecond: 100_000_000 };
const file = {
  limits: {
    messages: { capacity: 100_000, refillPerSecond: 100_000 },
    handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
    ephemeral: unhindered,
  },
  channels: { room: { subscribe: "public", publish: "public", presence: true, state: true } },
};
const cuts = Number(process.env.CUTS ?? 40);

async function clientOf({ url, signIn }: TestGateway, user: string) {
  return client(url, { token: (await signIn(user)).token });
}

const valuesOf = (entries: ReadonlyMap<string, { value: unknown }>) =>
  Object.fromEntries([...entries].map(([key, { value }]) => [key, value]));

describe("client.stateOf()", () => {
  test("shows what is set and removed, by whom, to all views, and what changed", async () => {
    const gateway = await startGateway({ file });
    const [ada, bob] = [await clientOf(gateway, "ada"), await clientOf(gateway, "bob")];
    const mine = ada.stateOf<number>("room:1");
    await mine.set("a", 1);
    await mine.set("b", 2);
    const theirs = bob.stateOf<number>("room:1");
    await theirs.loaded;
    const changes: unknown[] = [];
    theirs.on("change", (changed) => changes.push(...changed));
    const again = bob.stateOf<number>("room:1");
    await again.loaded;

    expect(theirs.get("a")).toBe(1);
    expect(theirs.entries.get("b")).toEqual({ value: 2, from: { userId: "ada", connectionId: ada.socket.id } });
    await mine.remove("a");
    await mine.set("b", 3, { ttlSeconds: 60 });
    await eventually(() => expect(valuesOf(theirs.entries)).toEqual({ b: 3 }));
    expect(valuesOf(again.entries)).toEqual({ b: 3 });
    expect(changes).toMatchObject([
      { key: "a", entry: undefined },
      { key: "b", entry: { value: 3 } },
    ]);
    expect(theirs.revision).toBe(4);
    theirs.close();
    again.close();
    await expect(mine.set("x".repeat(257), 1)).rejects.toMatchObject({ code: "bad_request" });
  });

  test(`is exact over ${cuts} random cuts, and beside the channel's publications`, { timeout: 120_000 }, async () => {
    const prefix = freshPrefix();
    const gateway = await startGateway({ prefix, file });
    const [writer, reader] = [await clientOf(gateway, "ada"), await clientOf(gateway, "bob")];
    const [written, view] = [writer.stateOf("room:1"), reader.stateOf("room:1")];
    const regressions: string[] = [];
    const last = new Map<string, number>();
    view.on("change", (changed) => {
      for (const { key, entry } of changed) {
        const n = entry?.value as number | undefined;
        if (n !== undefined && n < (last.get(key) ?? 0)) regressions.push(`${key}: ${last.get(key)}, ${n}`);
        if (n !== undefined) last.set(key, n);
      }
    });
    await view.loaded;
    const said: unknown[] = [];
    reader.channel("room:1").on("publication", ({ data }) => said.push(data));
    let done = 0;
    reader.socket.on("disconnect", () => (done += 1));
    const random = whole(7);
    const cutting = setInterval(() => random(4) === 0 && reader.socket.connected && cut(reader), 2);
    let n = 0;
    for (; done < cuts; n += 1) {
      const key = `k${random(10)}`;
      await (random(4) === 0 ? written.remove(key) : written.set(key, n + 1));
      if (n % 10 === 0) await writer.channel("room:1").publish("said", n);
    }
    clearInterval(cutting);
    await written.loaded;

    await eventually(() => expect(valuesOf(view.entries)).toEqual(valuesOf(written.entries)));
    await eventually(() => expect(view.revision).toBe(written.revision));
    expect(regressions).toEqual([]);
    await eventually(() => expect(said).toEqual(Array.from({ length: Math.ceil(n / 10) }, (_, index) => index * 10)));
  });

  test("sets its own keys and its presence again after every cut, until somebody else has set them", async () => {
    const gateway = await startGateway({ file });
    const [ada, bob] = [await clientOf(gateway, "ada"), await clientOf(gateway, "bob")];
    const [mine, theirs] = [ada.stateOf("room:1"), bob.stateOf("room:1")];
    await Promise.all([mine.loaded, theirs.loaded]);
    const members = async () => (await bob.channel("room:1").presence()).members;
    await mine.set("cursor", { x: 1 }, { own: true });
    await mine.set("taken", 1, { own: true });
    await ada.channel("room:1").setPresence({ looksAt: "board" });
    await eventually(() => expect(theirs.get("taken")).toBe(1));
    await theirs.set("taken", 2);
    await eventually(() => expect(mine.get("taken")).toBe(2));
    const cursors: unknown[] = [];
    theirs.on("change", (changed) => cursors.push(...changed.filter(({ key }) => key === "cursor")));

    for (const _ of [1, 2]) {
      const before = cursors.length;
      cut(ada);
      await eventually(() => expect(cursors.slice(before).at(-1)).toMatchObject({ entry: { value: { x: 1 } } }));
    }

    await eventually(async () => expect(await members()).toMatchObject([{ data: { looksAt: "board" } }, {}]));
    expect(theirs.get("taken")).toBe(2);
    ada.close();
    await eventually(() => expect(valuesOf(theirs.entries)).toEqual({ taken: 2 }));
    await eventually(async () => expect(await members()).toMatchObject([{ userId: "bob" }]));
  });
});
