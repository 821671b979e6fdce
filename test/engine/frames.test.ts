import type { Socket as NetSocket } from "node:net";
import { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import { expect, it } from "vitest";
import { closeCodeOf, createReceiver } from "../../src/engine/websocket-receiver.ts";
import { WebSocketTransport } from "../../src/engine/websocket-transport.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { settled } from "../support/fake-clock.ts";
import { seeded } from "../support/random.ts";

/** `npm run test:frames` for the long walk. */
const frames = Number(process.env.FUZZ_FRAMES ?? 2_000);

const maxPayload = 1_024;

/** On one connection, and connections at the same time. */
const framesEach = 3;
const atOnce = 100;

/** What a stream of bytes meant: messages and pings in order, and how it ended. */
type Story = (string | Buffer | number)[];

/** What ws alone reads in it. */
async function readByWs(chunks: readonly Buffer[]): Promise<Story> {
  const story: Story = [];
  const receiver = createReceiver(maxPayload);
  let isOver = false;
  const end = (code: number): void => {
    if (!isOver) story.push(code);
    isOver = true;
  };
  receiver.on("message", (data: Buffer, isBinary: boolean) => story.push(isBinary ? data : data.toString()));
  receiver.on("ping", (data: Buffer) => story.push(`ping ${data.toString("hex")}`));
  receiver.on("conclude", end);
  receiver.on("error", (error: Error & { code?: string }) => end(closeCodeOf(error)));
  for (const chunk of chunks) if (!isOver) receiver.write(Buffer.from(chunk));
  await settled();
  return story;
}

/** What the transport reads in it, and answers. */
async function readByTransport(chunks: readonly Buffer[]): Promise<Story> {
  const story: Story = [];
  const socket = new SilentSocket();
  const owner = {
    maxPayload,
    receive: (packet: string | Buffer) => void story.push(packet),
    control: (pong: Buffer) => story.push(`ping ${pong.subarray(2).toString("hex")}`) > 0,
    flush: () => undefined,
    drained: () => undefined,
    ended: () => undefined,
  };
  const failed = (error: unknown): never => expect.unreachable(String(error));
  const context = { maxPayload, closeTimeoutMs: 1, clock: systemClock, writeDirectly: undefined, failed };
  const transport = new WebSocketTransport(socket as unknown as NetSocket, owner, context);
  for (const chunk of chunks) transport.read(Buffer.from(chunk));
  await settled();
  for (const { length, ...bytes } of socket.written)
    story.push(length === 2 ? 1005 : (bytes[2] ?? 0) * 256 + (bytes[3] ?? 0));
  socket.destroy();
  return story;
}

/** Takes what is written, and nothing ever comes. */
class SilentSocket extends Duplex {
  readonly written: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.written.push(chunk);
    done();
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }
}

const opcodes = [0x81, 0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8a, 0x88, 0x02];
const contents = ["2", "4hello", "", "4é😀", `4${"x".repeat(130)}`, `4${"y".repeat(1_000)}`, `4${"z".repeat(1_100)}`];

function frameOf(pick: (count: number) => number): Buffer {
  const head = opcodes[pick(opcodes.length)] ?? 0x81;
  const content = Buffer.from(contents[pick(contents.length)] ?? "");
  const payload = head === 0x88 && content.length > 2 ? Buffer.concat([Buffer.from([0x03, 0xe8]), content]) : content;
  const mask = Buffer.from([pick(256), pick(256), pick(256), pick(256)]);
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : [0xfe, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([head, ...size]), mask, payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]);
}

/** As one changed on its way: bits flipped, bytes lost or doubled, mostly in its head. */
function mutated(bytes: Buffer, pick: (count: number) => number): Buffer {
  let changed = bytes;
  for (let change = pick(3); change > 0; change -= 1) {
    const at = pick(pick(2) === 0 ? 8 : changed.length);
    if (pick(3) > 0) changed = changed.map((byte, place) => (place === at ? byte ^ (1 << pick(8)) : byte)) as Buffer;
    else changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + pick(2) * 2 - 1)]);
  }
  return Buffer.from(changed);
}

function inChunks(bytes: Buffer, pick: (count: number) => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = pick(3) === 0 ? bytes.length : 1 + pick(40);
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

it(`reads ${frames} mutated frames as ws does, whole or in pieces`, { timeout: 60_000 + 10 * frames }, async () => {
  const random = seeded(20_264);
  const pick = (count: number): number => Math.floor(random() * count);
  const endings = new Map<unknown, number>();

  async function readOnce(): Promise<void> {
    const bytes = Buffer.concat(Array.from({ length: framesEach }, () => mutated(frameOf(pick), pick)));
    const chunks = inChunks(bytes, pick);
    const [story, ours] = await Promise.all([readByWs(chunks), readByTransport(chunks)]);
    const read = bytes.toString("hex");
    if (!isDeepStrictEqual(ours, story)) expect({ read, story: ours }).toEqual({ read, story });
    const ending = typeof story.at(-1) === "number" ? story.at(-1) : "open";
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }

  for (let read = 0; read < frames; read += atOnce * framesEach)
    await Promise.all(Array.from({ length: atOnce }, () => readOnce()));

  // Neither everything nor nothing is refused.
  for (const ending of ["open", 1002, 1005, 1007, 1009]) expect(endings.get(ending), `${ending}`).toBeGreaterThan(10);
});
