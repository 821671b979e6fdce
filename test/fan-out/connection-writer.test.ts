import { connect, createServer, type AddressInfo, type Socket as NetSocket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ConnectionWriter } from "../../src/engine/connection-writer.ts";
import { createDirectWrite, type DirectWrite } from "../../src/engine/direct-write.ts";
import { EndOfTickFlusher } from "../../src/engine/end-of-tick.ts";
import { Frame } from "../../src/engine/frames.ts";
import { eachByItself } from "../../src/engine/multi-socket-write.ts";
import { WebSocketTransport } from "../../src/engine/websocket-transport.ts";
import { closing } from "../../src/protocol/closings.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { handleOf } from "../../src/runtime/net-handle.ts";
import { RawSocket } from "../support/hostile.ts";
import { numbersOf, packetOf, range, startAudience, storyOf } from "./audience.ts";

it("a closing, Socket.IO's goodbye and the close frame leave in one write", async () => {
  const { edge, netSockets } = await startAudience();
  const reader = await new RawSocket(edge).entered();
  const writes = spiesOnWrites(netSockets[0] as NetSocket);

  for (const connection of edge.sockets.connections.all()) connection.close(closing("session_revoked"));
  await reader.until(() => reader.received.includes("41"));

  expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(1);
  expect(reader.received.slice(-2)).toEqual([expect.stringContaining('42["closing",{"code":"session_revoked"'), "41"]);
});

it.each([
  ["small", 1],
  ["large", 5_000],
])("%s answers to messages that came at once leave in a few writes, in order", async (_, length) => {
  const { edge, netSockets } = await startAudience();
  const reader = await new RawSocket(edge).entered();
  const writes = spiesOnWrites(netSockets[0] as NetSocket);
  const answers = (): string[] => reader.received.filter((text) => text.startsWith("43"));

  reader.tcp.cork();
  reader.send(...range(1, 50).map((id) => `42${id}["echo",{"text":"${"x".repeat(length)}"}]`));
  reader.tcp.uncork();
  await reader.until(() => answers().length === 50);

  expect(answers().map((text) => Number(/^43(\d+)\[/.exec(text)?.[1]))).toEqual(range(1, 50));
  expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBeLessThan(15);
});

it("an answer and what is published in its tick leave in one write", async () => {
  const { edge, publish, netSockets } = await startAudience({ accelerator: undefined });
  const reader = await new RawSocket(edge).entered();
  const writes = spiesOnWrites(netSockets[0] as NetSocket);
  const seen = reader.received.length;

  const [connection] = edge.sockets.connections.all();
  publish([1]);
  connection?.answer(7, { ok: true });
  publish([2]);
  await reader.until(() => numbersOf(reader.received).includes(2));

  expect(storyOf(reader.received.slice(seen))).toEqual([1, "answer", 2]);
  expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(1);
});

/** On all of Node's ways to hand something to the kernel. */
function spiesOnWrites(socket: NetSocket) {
  const handle = handleOf(socket) as unknown as Record<string, () => unknown>;
  const names = ["writev", "writeBuffer", "writeUtf8String", "writeLatin1String", "writeAsciiString"];
  return names.map((name) => vi.spyOn(handle, name));
}

describe("past the socket's stream", () => {
  it("Node's parts are there: if this fails, this Node is new, and net-handle.ts must be tried with it", async () => {
    const { server } = await socketPair();

    expect(createDirectWrite(), `Node ${process.version}`).toBeDefined();
    expect(handleOf(server)?.fd).toBeGreaterThan(0);
  });

  it("goes what is written, while nothing else waits", async () => {
    const { server, write } = await startWriting(createDirectWrite());
    const throughStream = vi.spyOn(server, "write");

    await write(1, 2);
    await write(3);

    expect(throughStream).not.toHaveBeenCalled();
  });

  it("goes nothing without Node's parts: then through the stream, still in one write", async () => {
    const { server, write } = await startWriting(undefined);
    const throughStream = vi.spyOn(server, "write");

    await write(...range(1, 5));

    expect(throughStream).toHaveBeenCalledTimes(1);
  });
});

it.each([
  ["past the stream", createDirectWrite()],
  ["through the stream", undefined],
])("what the kernel does not take waits, %s, and follows in order", async (_, writeDirectly) => {
  const { server, client, writer, read } = await startWriting(writeDirectly);
  client.pause();
  let last = 0;
  const add = async (bytes: number): Promise<void> => {
    writer.add(Frame.text(packetOf((last += 1), bytes)));
    await new Promise((resolve) => setImmediate(resolve));
  };

  while (writer.waitingBytes < 500_000) await add(30_000);
  // The kernel may take more of what waits at any time, but nothing that is behind it.
  const added = server.bytesWritten + writer.waitingBytes;
  for (const _ of range(1, 20)) await add(10);
  expect(server.bytesWritten).toBeLessThan(added);
  client.resume();

  await expect.poll(() => read().at(-1)).toBe(last);
  expect(read()).toEqual(range(1, last));
  expect(writer.waitingBytes).toBe(0);
});

/** Two ends of a TCP connection. */
async function socketPair(): Promise<{ server: NetSocket; client: NetSocket }> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<NetSocket>((resolve) => listener.once("connection", resolve));
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  const server = await accepted;
  onTestFinished(() => {
    for (const socket of [client, server]) socket.destroy();
    listener.close();
  });
  return { server, client };
}

async function startWriting(writeDirectly: DirectWrite | undefined) {
  const { server, client } = await socketPair();
  const failed = (error: unknown): never => expect.unreachable(String(error));
  const transport = new WebSocketTransport(
    server,
    {
      maxPayload: 1_024,
      receive: failed,
      control: () => false,
      flush: () => undefined,
      drained: () => writer.drain(),
      ended: () => undefined,
    },
    { maxPayload: 1_024, closeTimeoutMs: 100, clock: systemClock, writeDirectly, failed },
  );
  const context = {
    queueBytes: 8 * 1_048_576,
    endOfTick: new EndOfTickFlusher(failed),
    multiSocketWrite: eachByItself,
    traffic: { sentBytes: 0 },
    onSkipped: failed,
  };
  const writer = new ConnectionWriter(
    { overflowed: () => failed("slow"), finished: () => undefined },
    transport,
    context,
  );
  let text = "";
  client.on("data", (data) => (text += data.toString()));
  const read = (): number[] => [...text.matchAll(/"offset":(\d+)/g)].map(([, offset]) => Number(offset));
  const write = async (...numbers: number[]): Promise<void> => {
    for (const number of numbers) writer.add(Frame.text(packetOf(number)));
    await expect.poll(() => read().at(-1)).toBe(numbers.at(-1));
  };
  return { server, client, writer, read, write };
}
