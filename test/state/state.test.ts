import { describe, expect, test } from "vitest";
import { startGateway, told, type Client, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { boardFile, channel, follow, set } from "./board.ts";

const path = `/v1/channels/${encodeURIComponent(channel)}/state`;

async function startGateways(count: number, file: object = boardFile): Promise<TestGateway[]> {
  const prefix = freshPrefix();
  return Promise.all(Array.from({ length: count }, () => startGateway({ prefix, file })));
}

const signedIn = async (gateway: TestGateway, user: string, more: object = {}): Promise<Client> =>
  gateway.connect((await gateway.signIn(user, more)).token);

const snapshotOf = async (client: Client, name = channel) =>
  (await client.emitWithAck("subscribe", { channel: name })).snapshot;

describe("the state of a channel", () => {
  test("is told on every node as it was set, removed, and by whom", async () => {
    const [here, there] = await startGateways(2);
    const writer = await signedIn(here!, "ada", { info: { name: "Ada" } });
    const reader = await signedIn(there!, "bob");
    expect(await snapshotOf(reader)).toEqual({ revision: 0, entries: {} });

    expect(await set(writer, "note", { text: "hi" })).toEqual({ ok: true, channel, key: "note", revision: 1 });
    const from = { userId: "ada", connectionId: writer.id, info: { name: "Ada" } };
    await eventually(() =>
      expect(told(reader, "state")).toEqual([
        { channel, revision: 1, changes: [{ key: "note", value: { text: "hi" }, from }] },
      ]),
    );
    expect(await set(writer, "note", null)).toEqual({ ok: true, channel, key: "note", revision: 2 });
    expect(await set(writer, "note", null)).toEqual({ ok: true, channel, key: "note", revision: 2 });

    await eventually(() =>
      expect(told(reader, "state")[1]).toEqual({ channel, revision: 2, changes: [{ key: "note", value: null, from }] }),
    );
  });

  test("is read by backends, and refused for kinds without state", async () => {
    const [here, there] = await startGateways(2);
    const writer = await signedIn(here!, "ada");
    await set(writer, "note", 1);

    expect(await there!.call("GET", path)).toMatchObject({
      status: 200,
      body: { revision: 1, entries: { note: { value: 1, from: { userId: "ada" }, updatedAt: expect.any(Number) } } },
    });
    expect(await there!.call("GET", "/v1/channels/plain%3A1/state")).toMatchObject({ body: { code: "forbidden" } });
    expect(await there!.call("GET", "/v1/channels/none%3A1/state")).toMatchObject({
      body: { code: "unknown_channel" },
    });
  });

  test("is in the answer to every subscribe request, with all that was acknowledged before", async () => {
    const [here, there] = await startGateways(2);
    const writer = await signedIn(here!, "ada");
    const reader = await signedIn(there!, "bob");
    const first = await reader.emitWithAck("subscribe", { channel });
    for (let n = 1; n <= 5; n++) {
      await set(writer, "__proto__", n);
      const { epoch, offset } = first;
      const answer = await reader.emitWithAck("subscribe", { channel, since: { epoch, offset } });
      expect(answer).toMatchObject({ recovered: true, publications: [], snapshot: { revision: n } });
      expect(Object.entries(answer.snapshot.entries)).toEqual([
        ["__proto__", { value: n, from: expect.any(Object), updatedAt: expect.any(Number) }],
      ]);
    }
  });

  test("is changed by backends, all of a call or nothing", async () => {
    const limits = { ...boardFile.limits, state: { keysPerChannel: 3 } };
    const [gateway] = await startGateways(1, { ...boardFile, limits });
    const reader = await signedIn(gateway!, "bob");
    const view = await follow(reader);
    const call = (changes: object[], headers?: Record<string, string>) =>
      gateway!.call("POST", path, { changes }, headers);

    const key = { "idempotency-key": "once" };
    const first = [
      { key: "a", value: 1 },
      { key: "b", value: [2] },
      { key: "a", value: 3 },
    ];
    expect(await call(first, key)).toMatchObject({ status: 200, body: { revision: 1 } });
    expect(await call(first, key)).toMatchObject({ status: 200, body: { revision: 1 } });
    expect(
      await call([
        { key: "c", value: 1 },
        { key: "d", value: 1 },
      ]),
    ).toMatchObject({
      status: 413,
      body: { code: "payload_too_large" },
    });
    expect(
      await call([
        { key: "a", value: null },
        { key: "c", value: 1 },
        { key: "d", value: 1 },
      ]),
    ).toMatchObject({
      status: 200,
      body: { revision: 2 },
    });

    await eventually(() => expect(view.values()).toEqual({ b: [2], c: 1, d: 1 }));
    expect(told(reader, "state").flatMap(({ changes }) => changes)).not.toContainEqual({ key: "a", value: 1 });
    expect(view.revision()).toBe(2);
  });

  test("is for kinds that have it, and for clients that may publish", async () => {
    const [gateway] = await startGateways(1);
    const client = await signedIn(gateway!, "ada");
    const refusedWith = async (code: string, name: string, change: object = {}) =>
      expect(await set(client, "k", 1, change, name)).toMatchObject({ ok: false, error: { code } });

    await refusedWith("forbidden", "plain:1");
    await refusedWith("forbidden", "read:1");
    await refusedWith("unknown_channel", "nothing:1");
    await refusedWith("bad_request", channel, { ttlSeconds: 0 });
    await refusedWith("bad_request", channel, { key: "" });
    await refusedWith("bad_request", "board:*");
    expect(await client.emitWithAck("subscribe", { channel: "plain:1" })).not.toHaveProperty("snapshot");
    expect(
      await gateway!.call("POST", path.replace("board", "plain"), { changes: [{ key: "k", value: 1 }] }),
    ).toMatchObject({
      status: 403,
    });
    expect(await gateway!.call("POST", path, { changes: [{ key: "k" }] })).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("changes[0].value") },
    });
  });

  test("has bounds for a key, a value, and all of a channel", async () => {
    const limits = { ...boardFile.limits, state: { keyBytes: 8, valueBytes: 64, bytesPerChannel: 1_024 } };
    const [gateway] = await startGateways(1, { ...boardFile, limits });
    const client = await signedIn(gateway!, "ada");
    const value = "x".repeat(60);
    const tooLarge = { ok: false, error: { code: "payload_too_large" } };

    expect(await set(client, "ä".repeat(5), 1)).toMatchObject(tooLarge);
    expect(await set(client, "k", `${value}xxx`)).toMatchObject(tooLarge);
    const answers = [];
    for (let n = 0; n < 10; n++) answers.push(await set(client, `k${n}`, value));
    expect(answers[0]).toMatchObject({ ok: true });
    expect(answers.at(-1)).toMatchObject(tooLarge);
    const changes = [1, 2].map((n) => ({ key: `new-${n}`, value }));
    expect(await gateway!.call("POST", path, { changes })).toMatchObject({
      status: 413,
      body: { code: "payload_too_large", field: "changes" },
    });
    const kept = answers.filter(({ ok }) => ok).length;
    expect(Object.keys((await snapshotOf(client)).entries)).toHaveLength(kept);
    expect(await set(client, "k0", "short")).toMatchObject({ ok: true });
    expect(await set(client, "k1", null)).toMatchObject({ ok: true });
    expect(await set(client, "k9", "xx")).toMatchObject({ ok: true });
  });

  test("loses keys when they expire, unless they are set again", async () => {
    const [gateway] = await startGateways(2);
    const client = await signedIn(gateway!, "ada");
    const view = await follow(client);
    const setAt = performance.now();
    await set(client, "short", 1, { ttlSeconds: 1 });
    await set(client, "long", 1, { ttlSeconds: 60 });
    await set(client, "kept", 1, { ttlSeconds: 1 });
    await set(client, "kept", 2);

    await eventually(() => expect(view.values()).toEqual({ long: 1, kept: 2 }));
    expect(performance.now() - setAt).toBeGreaterThan(900);
  });

  test("loses the keys that a connection owns when it ends", async () => {
    const [here, there] = await startGateways(2);
    const [ada, bob] = [await signedIn(here!, "ada"), await signedIn(there!, "bob")];
    const view = await follow(bob);
    for (const key of ["own", "taken", "disowned", "removed"]) await set(ada, key, 1, { own: true });
    await set(ada, "note", 1);
    await set(bob, "taken", 2);
    await set(ada, "disowned", 2);
    await set(ada, "removed", null, { own: true });
    await set(bob, "removed", 2);

    ada.disconnect();

    await eventually(() => expect(view.values()).toEqual({ taken: 2, note: 1, disowned: 2, removed: 2 }));
  });

  test("is gone with the history, and loses what a user set when he is erased", async () => {
    const [here, there] = await startGateways(2);
    const [ada, bob] = [await signedIn(here!, "ada"), await signedIn(there!, "bob")];
    const view = await follow(bob);
    await set(ada, "a", 1);
    await set(ada, "a", 2, {}, "board:2");
    await set(ada, "b", 1);
    await set(bob, "b", { from: { userId: "ada" } });
    await here!.call("POST", path, { changes: [{ key: "c", value: 1 }] });

    expect(await there!.gateway.services.state.removeUser("ada")).toBe(2);
    await eventually(() => expect(view.values()).toEqual({ b: { from: { userId: "ada" } }, c: 1 }));
    expect(await here!.call("DELETE", path.replace(/state$/, "history"))).toMatchObject({ status: 200 });

    await eventually(() => expect(told(bob, "unsubscribed")).toMatchObject([{ channel, code: "unavailable" }]));
    expect(await snapshotOf(bob)).toMatchObject({ entries: {} });
  });
});
