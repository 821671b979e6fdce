import { expect, it } from "vitest";
import { z } from "zod";
import { clientHandler } from "../../src/connections/client-handler.ts";
import type { Edge } from "../support/edge.ts";
import { settled } from "../support/fake-clock.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";
import { heldBytes } from "../support/memory.ts";
import { numbersOf, range, startAudience, storyOf, type Audience } from "./audience.ts";

const kilobyte = 1_024;
const megabyte = 1_024 * kilobyte;

async function closedAsSlow(edge: Edge): Promise<number> {
  const { values } = await edge.metrics.closings.get();
  return values.find(({ labels }) => labels.code === "slow_consumer")?.value ?? 0;
}

async function valueOf(edge: Edge, name: "queueBytes" | "skipped", labels = {}): Promise<number> {
  const { values } = await edge.metrics[name].get();
  return values.find((value) => expect.objectContaining(labels).asymmetricMatch(value.labels))?.value ?? 0;
}

/** Publishes until as much waits in the node as wanted: what the kernel takes before differs. */
async function fill({ edge, publish }: Audience, waitingBytes: number, from = 1): Promise<number> {
  for (let number = from; ; number++) {
    publish([number], { bytes: 32 * kilobyte });
    await settled();
    if ((await valueOf(edge, "queueBytes")) >= waitingBytes) return number;
    if (number > 10_000) throw new Error("the kernel takes it all");
  }
}

it("a reader that stops is closed by name, told so ahead of what it has not read; others get everything", async () => {
  const audience = await startAudience({ outboundQueueBytes: megabyte, closeTimeoutMs: 20_000 });
  const { edge } = audience;
  const stalled = await new RawSocket(edge).entered();
  const reading = await new RawSocket(edge).entered();
  stalled.pause();

  let last = await fill(audience, megabyte - 64 * kilobyte);
  const before = await closedAsSlow(edge);
  // A few are enough, unless the kernel takes more of what waits meanwhile.
  const mostWaiting: number[] = [];
  while ((await closedAsSlow(edge)) === 0 && last < 10_000) {
    mostWaiting.push(await valueOf(edge, "queueBytes"));
    audience.publish([(last += 1)], { bytes: 32 * kilobyte });
    await settled();
  }

  expect([before, await closedAsSlow(edge)]).toEqual([0, 1]);
  // Both readers' queues.
  expect(Math.max(...mostWaiting)).toBeLessThan(2 * megabyte);
  expect(await valueOf(edge, "queueBytes")).toBeLessThan(megabyte);
  await reading.until(() => numbersOf(reading.received).length === last);
  expect(numbersOf(reading.received)).toEqual(range(1, last));
  stalled.resume();
  await stalled.until(() => stalled.closeCode !== undefined);
  const story = storyOf(stalled.received);
  expect(story.at(-1)).toBe("closing");
  expect(stalled.received.at(-1)).toContain("slow_consumer");
  expect(numbersOf(stalled.received)).toEqual(range(1, story.filter((word) => typeof word === "number").length));
});

it("a reader that was only slow gets all of it, in order, and answers in their place", async () => {
  const echo = clientHandler("echo", z.strictObject({}), () => ({}));
  const audience = await startAudience({ outboundQueueBytes: 16 * megabyte, handlers: [echo] });
  const reader = await new RawSocket(audience.edge).entered();
  const seen = reader.received.length;
  reader.pause();

  const last = await fill(audience, 4 * megabyte);
  reader.send('421["echo",{}]');
  await expect.poll(() => valueOf(audience.edge, "queueBytes")).toBeGreaterThan(0);
  await settled();
  audience.publish(range(last + 1, last + 50));
  audience.connections()[0]?.emit("behind", {});
  audience.publish([last + 51]);
  reader.resume();
  await reader.until(() => numbersOf(reader.received).length === last + 51);

  const story = storyOf(reader.received.slice(seen)).filter((word) => word !== "answer");
  expect(story).toEqual([...range(1, last + 50), "behind", last + 51]);
  expect(storyOf(reader.received)).toContain("answer");
  expect(await closedAsSlow(audience.edge)).toBe(0);
  await expect.poll(() => valueOf(audience.edge, "queueBytes")).toBe(0);
});

it("over the soft mark only the latest of a key is kept, nothing volatile, and what counts is never left out", async () => {
  const audience = await startAudience({ outboundQueueBytes: 2 * megabyte });
  const { edge, publish } = audience;
  const reader = await new RawSocket(edge).entered();
  reader.pause();

  const last = await fill(audience, megabyte + kilobyte);
  for (let n = 1; n <= 300; n++) {
    publish([last + n], { bytes: 32 * kilobyte, manner: { key: n % 2 === 0 ? "chat:lobby even" : "chat:lobby odd" } });
    if (n === 150) publish([100_000]);
    publish([200_000 + n], { manner: { isVolatile: true } });
    await settled();
  }
  reader.resume();
  await reader.until(() => numbersOf(reader.received).includes(last + 300));

  expect(numbersOf(reader.received)).toEqual([...range(1, last), 100_000, last + 299, last + 300]);
  expect(await valueOf(edge, "skipped", { reason: "conflated" })).toBe(298);
  expect(await valueOf(edge, "skipped", { reason: "volatile" })).toBe(300);
  expect(await closedAsSlow(edge)).toBe(0);
});

it("a poller that does not come is closed by name; one that comes is not, however much it gets in all", async () => {
  const { edge, publish } = await startAudience({ outboundQueueBytes: 128 * kilobyte, closeTimeoutMs: 500 });
  const reading = await new RawPolling(edge).entered();
  await new RawPolling(edge).entered();

  let number = 0;
  for (let round = 0; round < 60; round++) {
    publish(range(number + 1, number + 8), { bytes: 4 * kilobyte });
    number += 8;
    await reading.poll();
  }
  while (numbersOf(reading.received).length < number) await reading.poll();

  expect(numbersOf(reading.received)).toEqual(range(1, number));
  expect(await closedAsSlow(edge)).toBe(1);
});

it("an answer may be larger than the budget, and what is published behind it is not held against the reader", async () => {
  const large = clientHandler("large", z.strictObject({}), () => ({ text: "x".repeat(8 * megabyte) }));
  const { edge, publish } = await startAudience({ outboundQueueBytes: 64 * kilobyte, handlers: [large] });
  const reader = await new RawSocket(edge).entered();

  reader.pause();
  reader.send('421["large",{}]');
  await expect.poll(() => valueOf(edge, "queueBytes")).toBeGreaterThan(megabyte);
  for (const number of range(1, 100)) {
    publish([number]);
    await settled();
  }
  reader.resume();
  await reader.until(() => numbersOf(reader.received).length === 100);

  expect(storyOf(reader.received).slice(1)).toEqual(["answer", ...range(1, 100)]);
  expect(await closedAsSlow(edge)).toBe(0);
});

it("two hundred that stop cost little memory, and each is closed by name", { timeout: 120_000 }, async () => {
  const { edge, publish } = await startAudience({ outboundQueueBytes: megabyte, closeTimeoutMs: 200 });
  const stalled = await Promise.all(range(1, 200).map(() => new RawSocket(edge).entered()));
  const reading = await new RawSocket(edge).entered();
  for (const reader of stalled) reader.pause();
  const start = heldBytes();
  let most = 0;

  let number = 0;
  for (const begun = performance.now(); (await closedAsSlow(edge)) < 200 && performance.now() - begun < 90_000;) {
    for (let turn = 0; turn < 50; turn++) {
      publish(range(number + 1, number + 10), { bytes: kilobyte });
      number += 10;
      await settled();
    }
    most = Math.max(most, heldBytes() - start);
  }
  await reading.until(() => numbersOf(reading.received).length === number);

  expect(await closedAsSlow(edge)).toBe(200);
  expect(most).toBeLessThan(64 * megabyte);
});
