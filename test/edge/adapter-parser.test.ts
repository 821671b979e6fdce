import { encode } from "notepack.io";
import { describe, expect, it } from "vitest";
import { createAdapterParser } from "../../src/connections/adapter-parser.ts";
import { isBoundedMsgpack } from "../../src/engine/msgpack-bounds.ts";

const reasons: string[] = [];
const safeAdapterParser = createAdapterParser((reason) => reasons.push(reason));

const bytesOf = (value: unknown): Buffer => Buffer.from(encode(value) as Uint8Array);
const broadcast = (data: unknown, options: unknown = { rooms: ["a"], except: [], flags: {} }): unknown[] => [
  "emitter",
  { type: 2, data, nsp: "/" },
  options,
];

describe("messages between nodes", () => {
  it.each([
    ["a broadcast", broadcast(["event", { a: 1 }])],
    ["a broadcast of an emitter", broadcast(["event", 1], { rooms: ["a"], flags: undefined, except: [] })],
    ["a broadcast with bytes", broadcast(["event", Buffer.from("bytes")])],
    ["a request", { uid: "u", requestId: "r", type: 7, packet: {}, opts: { rooms: [], except: [] } }],
  ])("reads %s as the stock parser does", (_, message) => {
    const bytes = bytesOf(message);

    expect(safeAdapterParser.decode(bytes)).toEqual(
      safeAdapterParser.decode(Buffer.from(safeAdapterParser.encode(message))),
    );
    expect(safeAdapterParser.decode(bytes)).toMatchObject(
      JSON.parse(JSON.stringify(message ?? null), revive) as object,
    );
  });

  const deep = (levels: number): unknown => {
    let value: unknown = 1;
    for (let level = 0; level < levels; level += 1) value = [value];
    return value;
  };

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["one byte", Buffer.from([0xc1])],
    ["a cut string", Buffer.from([0xd9, 0xff, 0x61])],
    ["a list of four billion", Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ["a map of four billion", Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff])],
    ["bytes of 4 GB", Buffer.from([0xc9, 0xff, 0xff, 0xff, 0xff, 0x00])],
    ["a timestamp of no length", Buffer.from([0xc7, 0x00, 0xff, ...Array<number>(20).fill(0x91)])],
    ["trailing bytes", Buffer.concat([bytesOf(broadcast(["event"])), Buffer.from([0xc0])])],
    ["lists 100000 deep", Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([0xc0])])],
    ["lists that never end", Buffer.alloc(100_000, 0x91)],
    [
      "maps 50000 deep",
      Buffer.concat([...Array<Buffer>(50_000).fill(Buffer.from([0x81, 0xa1, 0x61])), Buffer.from([0xc0])]),
    ],
    ["data 50 deep", bytesOf(broadcast(["event", deep(50)]))],
    ["a number", bytesOf(7)],
    ["null", bytesOf(null)],
    ["a short list", bytesOf(["emitter"])],
    ["a packet that is null", bytesOf(["emitter", null, {}])],
    ["no options", bytesOf(["emitter", { type: 2, data: ["event"], nsp: "/" }])],
    ["options that are null", bytesOf(broadcast(["event"], null))],
    ["rooms that are a number", bytesOf(broadcast(["event"], { rooms: 7, except: [] }))],
    ["exceptions that are a number", bytesOf(broadcast(["event"], { rooms: [], except: 7 }))],
    ["flags that are a number", bytesOf(broadcast(["event"], { rooms: [], except: [], flags: 7 }))],
    ["data that is no list", bytesOf(broadcast({ 0: "event" }))],
    ["data without a name", bytesOf(broadcast([]))],
    ["a packet that is no event", bytesOf(["emitter", { type: 0, data: ["event"], nsp: "/" }, { rooms: [] }])],
    [
      "a packet that wants acknowledgements",
      bytesOf(["emitter", { type: 2, id: 1, data: ["event"], nsp: "/" }, { rooms: [] }]),
    ],
    ["an event named `connect`, on which clients disconnect", bytesOf(broadcast(["connect", {}]))],
    ["an event named `newListener`", bytesOf(broadcast(["newListener"]))],
    ["eleven binaries, on which clients disconnect", bytesOf(broadcast(["e", Array(11).fill(Buffer.from("x"))]))],
    [
      "a binary and a placeholder for another",
      bytesOf(broadcast(["e", Buffer.from("x"), { _placeholder: true, num: 9 }])),
    ],
    ["an integer that JavaScript rounds", rounded()],
    ["two megabytes", bytesOf(broadcast(["event", "x".repeat(2_000_000)]))],
  ])("takes for empty: %s", (_, bytes) => {
    reasons.length = 0;
    expect(safeAdapterParser.decode(bytes)).toEqual([]);
    expect(reasons).toHaveLength(1);
  });

  it("takes as many binaries as clients do, and integers that are exact", () => {
    for (const data of [Array(10).fill(Buffer.from("x")), 2 ** 53, -(2 ** 60), 2 ** 63]) {
      const message = broadcast(["e", data]);
      expect(safeAdapterParser.decode(bytesOf(message))).toEqual(message);
    }
  });

  it("counts as the decoder reads, whatever the bytes", () => {
    let seed = 1;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const samples = [
      broadcast(["event", { a: [1, -1, 1.5, "é", null, true, { b: new Date(0) }] }]),
      { requestId: "r", type: 5 },
    ];

    for (let round = 0; round < 20_000; round += 1) {
      const bytes = bytesOf(samples[round % 2]);
      for (let change = random(4); change >= 0; change -= 1) bytes[random(bytes.length)] = random(256);
      expect(() => safeAdapterParser.decode(bytes.subarray(0, bytes.length - random(3)))).not.toThrow();
    }
    expect(isBoundedMsgpack(bytesOf(samples[0]), 40)).toBe(true);
  });

  it("writes an empty message for what cannot be written", () => {
    const circle: unknown[] = [];
    circle.push(circle);

    expect(safeAdapterParser.decode(Buffer.from(safeAdapterParser.encode(circle)))).toEqual([]);
  });
});

/** A broadcast whose one argument is 2^53 + 1. */
function rounded(): Buffer {
  const bytes = bytesOf(broadcast(["e", 2 ** 53]));
  bytes[bytes.indexOf(0xcf) + 8]! += 1;
  return bytes;
}

/** JSON writes bytes as an object; the decoder gives them back as they were. */
function revive(_: string, value: unknown): unknown {
  const isBytes =
    typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value;
  return isBytes ? Buffer.from(value.data as number[]) : value;
}
