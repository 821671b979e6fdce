import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, it, onTestFinished, vi } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { loadAccelerator, type SendEach } from "../../src/engine/accelerator.ts";
import { closing } from "../../src/protocol/closings.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { RawSocket } from "../support/hostile.ts";
import { quietLog } from "../support/world.ts";
import { numbersOf, range, startAudience, storyOf } from "./audience.ts";

const { EAGAIN, EBADF, EINTR } = constants.errno;
const file = inject("accelerator");
const sendEach = loadAccelerator(file, { log: quietLog }) as SendEach;

async function startReaders(count: number, accelerator: SendEach) {
  const audience = await startAudience({ accelerator });
  const readers: RawSocket[] = [];
  for (const _ of range(1, count)) readers.push(await new RawSocket(audience.edge).entered());
  return { ...audience, readers };
}

const allHave = (readers: readonly RawSocket[], last: number): Promise<unknown> =>
  Promise.all(readers.map((reader) => reader.until(() => numbersOf(reader.received).includes(last))));

it("writes the bytes of a turn to all who get the same in one call", async () => {
  const calls = vi.fn<SendEach>(sendEach);
  const { publish, readers } = await startReaders(3, calls);
  calls.mockClear();

  publish([1, 2]);
  await allHave(readers, 2);

  expect(calls.mock.calls.map(([, count]) => count)).toEqual([3]);
  for (const { received } of readers) expect(numbersOf(received)).toEqual([1, 2]);
});

it("serves those who get other bytes in the same turn as well", async () => {
  const { publish, connections, readers } = await startReaders(4, sendEach);

  publish([1]);
  connections()[1]?.emit("only you", {});
  connections()[2]?.emit("only you", {});
  publish([2]);
  await allHave(readers, 2);

  const heard = readers.map(({ received }) => storyOf(received).filter((word) => word !== "ready"));
  expect(heard).toEqual([
    [1, 2],
    [1, "only you", 2],
    [1, "only you", 2],
    [1, 2],
  ]);
});

describe("what the kernel has not taken", () => {
  const refusing =
    (errno: number): SendEach =>
    (_, count, __, sent) =>
      void sent.fill(-errno, 0, count);
  const failing: SendEach = () => {
    throw new TypeError("not such arrays");
  };
  const part: SendEach = (to, count, bytes, sent) => sendEach(to, count, bytes.subarray(0, 7), sent);

  it.each([
    ["a part of it", part],
    ["all of it, for there is no room", refusing(EAGAIN)],
    ["all of it, for a signal came", refusing(EINTR)],
    ["all of it, for the accelerator itself failed", failing],
  ])("follows: %s", async (_, accelerator) => {
    const { publish, readers } = await startReaders(3, accelerator);

    publish([1, 2]);
    publish([3], { bytes: 100_000 });
    await allHave(readers, 3);
    publish([4]);
    await allHave(readers, 4);

    for (const { received } of readers) expect(numbersOf(received)).toEqual([1, 2, 3, 4]);
  });
});

it("is ahead of whatever else is sent to the same connection before the tick has ended", async () => {
  const { publish, connections, readers } = await startReaders(2, sendEach);
  const [reader] = readers as [RawSocket];
  const seen = reader.received.length;

  // The first writer that is flushed has a message for the second, whose publication was just added to the call.
  publish([1]);
  connections()[0]?.close(closing("session_revoked"));
  connections()[0]?.emit("between", {});
  await reader.until(() => reader.closeCode !== undefined);

  expect(storyOf(reader.received.slice(seen, -1))).toEqual([1, "closing"]);
});

it("leaves a connection alone that was cut in the same tick", async () => {
  const { publish, edge, readers, netSockets } = await startReaders(3, sendEach);

  publish([1]);
  netSockets[0]?.destroy();
  await allHave(readers.slice(1), 1);

  await expect.poll(() => edge.sockets.connections.count).toBe(2);
  expect(numbersOf(readers[0]?.received ?? [])).toEqual([]);
});

describe("which accelerator is taken", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "info", destination: { write: (line: string) => void lines.push(line) } });

  it("none where the operator wants none, or none was compiled", () => {
    expect(loadAccelerator("off", { log })).toBeUndefined();
    expect(loadAccelerator(undefined, { log, compiledFile: "/nowhere/send-each.node" })).toBeUndefined();
  });

  it("the one compiled here, told in the log", () => {
    expect(loadAccelerator(undefined, { log, compiledFile: file })).toBeTypeOf("function");
    expect(lines.at(-1)).toContain("accelerator enabled");
  });

  it("none where the one compiled here does not fit the machine, with a warning", () => {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-accelerator-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const compiledFile = join(folder, "send-each.node");
    writeFileSync(compiledFile, "of another machine");

    expect(loadAccelerator(undefined, { log, compiledFile })).toBeUndefined();
    expect(lines.at(-1)).toContain("continuing without it");
  });

  it("the one the operator names, or a clear error", () => {
    const { accelerator } = loadConfig({ ACCELERATOR: "/nowhere/send-each.node" });

    expect(() => loadAccelerator(accelerator, { log })).toThrow(
      /^ACCELERATOR: \/nowhere\/send-each\.node cannot be loaded/,
    );
  });
});

it.each<[string, unknown[]]>([
  ["nothing", []],
  ["other arrays", [new Uint8Array(4), 1, Buffer.alloc(1), new Int32Array(1)]],
  ["a count beyond the descriptors", [new Int32Array(1), 2, Buffer.alloc(1), new Int32Array(2)]],
  ["a count beyond the answers", [new Int32Array(2), 2, Buffer.alloc(1), new Int32Array(1)]],
  ["bytes as text", [new Int32Array(1), 1, "text", new Int32Array(1)]],
])("writes nothing when given %s", (_, words) => {
  expect(() => (sendEach as (...words: unknown[]) => void)(...words)).toThrow(TypeError);
});

it("answers errors as negative numbers", () => {
  const sent = new Int32Array(1);

  sendEach(Int32Array.of(-1), 1, Buffer.from("x"), sent);

  expect(sent[0]).toBe(-EBADF);
});
