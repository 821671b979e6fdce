import type { Socket as NetSocket } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { closing } from "../../src/protocol/closings.ts";
import { createDirectWrite, hasDirectHandle, type DirectWrite } from "../../src/engine/direct-write.ts";
import { Outlet } from "../../src/engine/outlet.ts";
import { RawSocket as Short } from "../../src/engine/raw-socket.ts";
import { Turn } from "../../src/engine/turn.ts";
import { Frame } from "../../src/engine/batch.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";
import type { Edge } from "../support/edge.ts";
import { numbersOf, packetOf, range, startAudience, storyOf } from "./audience.ts";

/** The Engine.IO socket of the only client. */
const engineOf = (edge: Edge) => [...edge.sockets.io.sockets.sockets.values()][0]!.conn;

/** What `raw-socket.ts` and `direct-write.ts` look at, as it is in this installation. */
interface Parts {
  transport: { socket: { _socket: NetSocket; _sender: { _state: number }; extensions: string } };
  writeBuffer: unknown[];
  readyState: string;
}

interface Writing {
  /** @default Node's */
  writeDirectly?: DirectWrite | undefined;
  /** Path of a part that is not to be found. */
  hidden?: readonly string[];
}

async function startWriting(options: Writing = {}) {
  const { writeDirectly, hidden } = { writeDirectly: createDirectWrite(), ...options };
  const { edge } = await startAudience();
  const reader = await new RawSocket(edge).entered();
  const engine = engineOf(edge);
  const owner = { readTooSlowly: vi.fn<() => void>() };
  const turn = new Turn((error) => expect.unreachable(String(error)));
  const seen = hidden === undefined ? engine : without(engine, hidden);
  const outlet = new Outlet(seen, owner, { queueBytes: 1_048_576, turn, writeDirectly, onSkipped: () => undefined });
  const write = async (...numbers: number[]): Promise<void> => {
    for (const number of numbers) outlet.add(new Frame(packetOf(number)));
    await reader.until(() => numbersOf(reader.received).includes(numbers.at(-1) as number));
  };
  return { edge, reader, engine, parts: engine as unknown as Parts, write };
}

it("a closing, Socket.IO's goodbye and the close frame leave in one write", async () => {
  const { edge } = await startAudience();
  const reader = await new RawSocket(edge).entered();
  const { _socket: socket } = (engineOf(edge) as unknown as Parts).transport.socket;
  const writes = spiesOnWrites(socket);

  for (const connection of edge.sockets.connections.all()) connection.close(closing("session_revoked"));
  await reader.until(() => reader.received.includes("41"));

  expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(1);
  expect(reader.received.slice(-2)).toEqual([expect.stringContaining('42["closing",{"code":"session_revoked"'), "41"]);
});

it.each([
  ["small", 1],
  ["large", 5_000],
])("%s answers to messages that came at once leave in a few writes, in order", async (_, length) => {
  const { edge } = await startAudience();
  const reader = await new RawSocket(edge).entered();
  const writes = spiesOnWrites((engineOf(edge) as unknown as Parts).transport.socket._socket);
  const answers = (): string[] => reader.received.filter((text) => text.startsWith("43"));

  reader.tcp.cork();
  reader.send(...range(1, 50).map((id) => `42${id}["echo",{"text":"${"x".repeat(length)}"}]`));
  reader.tcp.uncork();
  await reader.until(() => answers().length === 50);

  expect(answers().map((text) => Number(/^43(\d+)\[/.exec(text)?.[1]))).toEqual(range(1, 50));
  expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBeLessThan(15);
});

it("an answer and what is published in its turn leave in one write", async () => {
  const { edge, publish } = await startAudience({ accelerator: undefined });
  const reader = await new RawSocket(edge).entered();
  const writes = spiesOnWrites((engineOf(edge) as unknown as Parts).transport.socket._socket);
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
  const { _handle: handle } = socket as unknown as { _handle: Record<string, () => unknown> };
  const names = ["writev", "writeBuffer", "writeUtf8String", "writeLatin1String", "writeAsciiString"];
  return names.map((name) => vi.spyOn(handle, name));
}

describe("the short road past the libraries", () => {
  it("has not lost its parts: if this fails, a new engine.io or ws has moved them, and raw-socket.ts must follow", async () => {
    const { engine, parts } = await startWriting();
    expect(Short.under(engine, undefined)?.isNext).toBe(true);
    expect(parts).toMatchObject({ readyState: "open", writeBuffer: [] });
    expect(parts.transport.socket._sender._state).toBe(0);
    expect(parts.transport.socket.extensions).toBe("");
  });

  it("has not lost Node's part: if this fails, this Node is new, and direct-write.ts must be tried with it", async () => {
    const { parts } = await startWriting();

    expect(createDirectWrite(), `Node ${process.version}`).toBeDefined();
    expect(hasDirectHandle(parts.transport.socket._socket)).toBe(true);
  });

  it("is taken: neither Engine.IO nor the stream sees what is published", async () => {
    const { engine, parts, write } = await startWriting();
    const throughStream = vi.spyOn(parts.transport.socket._socket, "write");
    const throughEngine = vi.spyOn(engine, "write");

    await write(1, 2);
    await write(3);

    expect(throughStream).not.toHaveBeenCalled();
    expect(throughEngine).not.toHaveBeenCalled();
  });

  it("is left where something was sent and has not gone, and taken again after it", async () => {
    const { engine, parts, reader, write } = await startWriting();
    const throughEngine = vi.spyOn(engine, "write");
    parts.writeBuffer.push({ type: "message", data: '2["waits",{}]', options: {} });

    await write(1, 2);
    const meanwhile = throughEngine.mock.calls.length;
    await write(3);

    expect(meanwhile).toBe(2);
    expect(throughEngine).toHaveBeenCalledTimes(2);
    expect(reader.received.findIndex((text) => text.includes("waits"))).toBeLessThan(
      reader.received.findIndex((text) => text.includes('"offset":1')),
    );
  });

  it("is not there on polling", async () => {
    const { edge } = await startAudience();
    await new RawPolling(edge).entered();

    expect(Short.under(engineOf(edge), createDirectWrite())).toBeUndefined();
  });
});

describe("where a part is missing, the ordinary road is taken and nothing is lost:", () => {
  it.each([
    "readyState",
    "writeBuffer",
    "transport",
    "transport.name",
    "transport.socket",
    "transport.socket.readyState",
    "transport.socket.extensions",
    "transport.socket._socket",
    "transport.socket._sender",
    "transport.socket._sender._state",
  ])("%s", async (path) => {
    const { engine, reader, write } = await startWriting({ hidden: path.split(".") });
    const throughEngine = vi.spyOn(engine, "write");

    await write(1, 2);
    await write(3);

    expect(numbersOf(reader.received)).toEqual([1, 2, 3]);
    expect(throughEngine).toHaveBeenCalledTimes(3);
  });

  it("Node's own: then through the stream, still in one write", async () => {
    const { parts, reader, write } = await startWriting({ writeDirectly: undefined });
    const throughStream = vi.spyOn(parts.transport.socket._socket, "write");

    await write(...range(1, 5));

    expect(numbersOf(reader.received)).toEqual(range(1, 5));
    expect(throughStream).toHaveBeenCalledTimes(1);
  });
});

/** The same object, without what stands at the end of the path. */
function without<T extends object>(object: T, [hidden, ...rest]: readonly string[]): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name === hidden) return rest.length === 0 ? undefined : without(value as object, rest);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
