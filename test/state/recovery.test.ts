import { describe, expect, test } from "vitest";
import { readEvents } from "../support/event-stream.ts";
import { startGateway, told, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { boardFile, channel, replay, returningReader, set, valuesOf, type ReturningReader } from "./board.ts";

const path = `/v1/channels/${encodeURIComponent(channel)}/state`;
const away = "http://127.0.0.1:1";

async function startPair(): Promise<[TestGateway, TestGateway]> {
  const prefix = freshPrefix();
  return [await startGateway({ prefix, file: boardFile }), await startGateway({ prefix, file: boardFile })];
}

async function readerOf({ url, signIn }: TestGateway, user: string): Promise<ReturningReader> {
  const reader = returningReader(url, (await signIn(user)).token);
  await eventually(() => expect(reader.isUpToDate).toBe(true));
  return reader;
}

const change = ({ call }: TestGateway, key: string, value: unknown) =>
  call("POST", path, { changes: [{ key, value }] }).then(({ status }) => expect(status).toBe(200));

async function gone({ client }: ReturningReader): Promise<void> {
  await eventually(() => expect(client.connected).toBe(false));
}

async function back(reader: ReturningReader, url: string): Promise<void> {
  Object.assign(reader.client.io, { uri: url });
  await eventually(() => expect(reader.isUpToDate).toBe(true));
}

describe("a stock client that comes back to another node", () => {
  test("is recovered with what was set and removed meanwhile, and receives what follows", async () => {
    const [here, there] = await startPair();
    for (const key of ["kept", "changed", "removed"]) await change(here, key, 1);
    const reader = await readerOf(here, "ada");

    reader.cut(away);
    await gone(reader);
    await change(here, "changed", 2);
    await change(here, "removed", null);
    await change(here, "added", 1);
    await back(reader, there.url);

    expect(reader.returns).toEqual({ recovered: 1, anew: 1 });
    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ kept: 1, changed: 2, added: 1 }));
    await change(here, "added", 2);
    await eventually(() => expect(reader.values.get("added")).toBe(2));
  });

  test("loses its own keys meanwhile and sets them again, as its owner", async () => {
    const [here, there] = await startPair();
    const [owner, reader] = [await readerOf(here, "ada"), await readerOf(there, "bob")];
    await set(owner.client, "cursor", { n: 1 }, { own: true });
    await eventually(() => expect(reader.values.get("cursor")).toEqual({ n: 1 }));

    owner.cut(there.url);
    await eventually(() => expect(owner.returns.recovered).toBe(1));
    await eventually(() => expect(reader.values.has("cursor")).toBe(false));
    await eventually(() => expect(owner.values.has("cursor")).toBe(false));
    await set(owner.client, "cursor", { n: 2 }, { own: true });
    await eventually(() => expect(reader.values.get("cursor")).toEqual({ n: 2 }));
    owner.client.disconnect();

    await eventually(() => expect(reader.values.has("cursor")).toBe(false));
  });

  test("is not recovered if it is no longer known what was removed", async () => {
    const [here, there] = await startPair();
    const reader = await readerOf(here, "ada");
    const changes = (value: unknown) => Array.from({ length: 1_000 }, (_, n) => ({ key: `k${n}`, value }));
    await here.call("POST", path, { changes: changes(1) });
    // A publication, because the place it came from must be behind the removals.
    await here.call("POST", "/v1/publish", { channel, event: "said", data: 1 });
    await eventually(() => expect(told(reader.client, "publication")).toHaveLength(1));
    await eventually(() => expect(reader.values.size).toBe(1_000));

    reader.cut(away);
    await gone(reader);
    await here.call("POST", path, { changes: changes(null) });
    await change(here, "last", 1);
    await change(here, "last", null);
    await back(reader, there.url);

    expect(reader.returns).toEqual({ recovered: 0, anew: 2 });
    expect(reader.values.size).toBe(0);
  });
});

test("a stream has the state of its channels, and after a cut all of it again", async () => {
  const [here, there] = await startPair();
  await change(here, "a", 1);
  const url = (gateway: TestGateway) => `${gateway.url}/v1/stream?channel=${encodeURIComponent(channel)}`;
  const authorization = `Bearer ${(await here.signIn("ada")).token}`;
  const stream = await readEvents(url(here), { authorization });
  const { snapshot } = await stream.first("subscribed");
  await change(there, "b", 2);
  await change(there, "a", null);
  await eventually(() => expect(replay(valuesOf(snapshot), stream.named("state"))).toEqual({ b: 2 }));

  stream.cut();
  await change(here, "c", 3);
  const again = await readEvents(url(there), { authorization, "last-event-id": stream.lastEventId });

  const answer = await again.first("subscribed");
  expect(answer).toMatchObject({ recovered: true, missed: 0 });
  expect(valuesOf(answer.snapshot)).toEqual({ b: 2, c: 3 });
});
