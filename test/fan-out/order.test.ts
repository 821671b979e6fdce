import { describe, expect, it } from "vitest";
import { settled } from "../support/fake-clock.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";
import { startGateway, told } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { numbersOf, range, startAudience, storyOf } from "./audience.ts";

describe("what is written to one connection in one turn", () => {
  it("leaves in one piece, byte for byte what was published", async () => {
    const { edge, publish } = await startAudience();
    const reader = await new RawSocket(edge).entered();
    const pieces: number[] = [];
    reader.tcp.on("data", (data: Buffer) => pieces.push(data.length));

    // As long as frames can be: 7, 16 and 64 bits of length.
    publish([1, 2]);
    publish([3], { bytes: 3_000 });
    publish([4], { bytes: 70_000 });
    await reader.until(() => numbersOf(reader.received).length === 4);
    const { length } = pieces;
    publish(range(5, 14));
    await reader.until(() => numbersOf(reader.received).length === 14);

    expect(numbersOf(reader.received)).toEqual(range(1, 14));
    expect(reader.received.find((text) => text.includes('"offset":4'))).toContain("ä".repeat(35_000));
    expect(pieces.length - length).toBe(1);
  });

  it("keeps its order with whatever else is sent meanwhile", async () => {
    const { edge, connections, publish } = await startAudience();
    const reader = await new RawSocket(edge).entered();
    const seen = reader.received.length;

    publish([1, 2]);
    connections()[0]?.emit("first", {});
    connections()[0]?.emit("second", {});
    publish([3]);
    connections()[0]?.emit("third", {});
    publish([4]);
    await reader.until(() => reader.received.some((text) => text.includes('"offset":4')));

    expect(storyOf(reader.received.slice(seen))).toEqual([1, 2, "first", "second", 3, "third", 4]);
  });

  it("keeps it on polling too", async () => {
    const { edge, connections, publish } = await startAudience();
    const reader = await new RawPolling(edge).entered();
    const seen = reader.received.length;

    publish(range(1, 40));
    connections()[0]?.emit("between", {});
    publish(range(41, 80));
    while (numbersOf(reader.received).length < 80) await reader.poll();

    expect(storyOf(reader.received.slice(seen))).toEqual([...range(1, 40), "between", ...range(41, 80)]);
  });

  it("keeps it where more waits for a poller than Engine.IO is given ahead", async () => {
    const { edge, connections, publish } = await startAudience();
    const reader = await new RawPolling(edge).entered();
    const seen = reader.received.length;

    for (const turn of range(0, 19)) {
      publish(range(20 * turn + 1, 20 * turn + 20));
      await settled();
    }
    connections()[0]?.emit("behind", {});
    while (!storyOf(reader.received).includes("behind")) await reader.poll();

    expect(storyOf(reader.received.slice(seen))).toEqual([...range(1, 400), "behind"]);
  });

  it("is shared: who gets the same gets the same bytes, who gets more gets those before it", async () => {
    const { edge, connections, publish } = await startAudience();
    const readers = [
      await new RawSocket(edge).entered(),
      await new RawSocket(edge).entered(),
      await new RawPolling(edge).entered(),
    ] as const;

    publish([1]);
    connections()[0]?.emit("only you", {});
    publish([2, 3]);
    await readers[0].until(() => numbersOf(readers[0].received).length === 3);
    await readers[1].until(() => numbersOf(readers[1].received).length === 3);
    while (numbersOf(readers[2].received).length < 3) await readers[2].poll();

    for (const { received } of readers) expect(numbersOf(received)).toEqual([1, 2, 3]);
  });
});

it("tells nobody anything of a channel once its unsubscription was answered", { timeout: 120_000 }, async () => {
  const limits = { messages: { capacity: 10_000 } };
  const file = { channels: { chat: { subscribe: "public" } }, limits };
  const { call, connect, signIn } = await startGateway({ file });
  const { token } = await signIn("ada");
  const client = await connect(token);
  let isDone = false;
  const publication = { channel: "chat:lobby", event: "said", data: {} };
  const publishing = (async () => {
    while (!isDone) await call("POST", "/v1/publish/batch", { publications: range(1, 5).map(() => publication) });
  })();

  for (let round = 0; round < 10; round++) {
    await client.emitWithAck("subscribe", { channel: "chat:lobby" });
    const wanted = told(client, "publication").length + 3;
    await eventually(() => expect(told(client, "publication").length).toBeGreaterThanOrEqual(wanted));
    let after = 0;
    await new Promise<void>((resolve) => {
      client.emit("unsubscribe", { channel: "chat:lobby" }, () => {
        client.on("publication", () => (after += 1));
        resolve();
      });
    });
    await call("POST", "/v1/publish", publication);
    await client.emitWithAck("history", { channel: "chat:lobby" });
    client.off("publication");
    expect(after).toBe(0);
  }
  isDone = true;
  await publishing;
});
