import { expect, it } from "vitest";
import { connected, startEdge, stockClient, type Edge } from "../support/edge.ts";
import { frame, RawSocket, type Outcome } from "../support/hostile.ts";

interface HostileFrame {
  name: string;
  /** Frames of a client that has authenticated. */
  frames?: (string | Buffer)[];
  /** Bytes on its TCP connection, where no WebSocket library would send them. */
  bytes?: Buffer[];
  expected: Partial<Record<"acknowledged" | "closing" | "connectError" | "message", unknown>> | { closed: number };
}

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const mirror = (json: string): string => `421["mirror",{"data":${json}}]`;
const badData = (message: string) => ({
  acknowledged: "bad_request",
  message: expect.stringContaining(message) as unknown,
});
const unknownEvent = { acknowledged: "unknown_event", message: "Nothing handles this event." };
const fault = (message: string) => ({
  closing: "protocol_error",
  message: expect.stringContaining(message) as unknown,
});

/** The JSON of one event, so many bytes long. */
const eventOf = (bytes: number): string => `["echo",{"text":"${"x".repeat(bytes - 20)}"}]`;

const hostileFrames: HostileFrame[] = [
  // Deep and wide
  ...[33, 100, 2_500, 30_000].map((levels) => ({
    name: `arrays ${levels} deep`,
    frames: [mirror(nested(levels))],
    expected: badData("more than 32 levels deep"),
  })),
  ...[33, 100, 2_500].map((levels) => ({
    name: `objects ${levels} deep`,
    frames: [mirror('{"a":'.repeat(levels) + "1" + "}".repeat(levels))],
    expected: badData("more than 32 levels deep"),
  })),
  { name: "arrays 100000 deep", frames: [mirror(nested(100_000))], expected: { closed: 1009 } },
  { name: "brackets that never close", frames: [`421${"[".repeat(60_000)}`], expected: badData("levels deep") },
  {
    name: "deep arrays nobody is to answer",
    frames: [`42["mirror",{"data":${nested(100)}}]`],
    expected: fault("levels deep"),
  },
  { name: "a deep event name", frames: [`421[${nested(100)},{}]`], expected: badData("levels deep") },
  { name: "30000 elements", frames: [mirror(`[${"1,".repeat(30_000)}1]`)], expected: badData("more than 10000 keys") },
  {
    name: "21000 empty objects",
    frames: [mirror(`[${"{},".repeat(21_000)}{}]`)],
    expected: badData("more than 10000 keys"),
  },

  // Sizes
  {
    name: "one byte over the limit",
    frames: [`421${eventOf(65_537)}`],
    expected: { acknowledged: "payload_too_large" },
  },
  {
    name: "one byte over, in two-byte characters",
    frames: [`421["echo",{"text":"${"é".repeat(32_759)}"}]`],
    expected: { acknowledged: "payload_too_large" },
  },
  {
    name: "one byte over the limit, which nobody is to answer",
    frames: [`42${eventOf(65_537)}`],
    expected: fault("larger than 65536 bytes"),
  },
  { name: "twice the limit", frames: [`421${eventOf(131_072)}`], expected: { closed: 1009 } },
  { name: "a megabyte", frames: [`421${eventOf(1_000_000)}`], expected: { closed: 1009 } },

  // Form
  { name: "a lone surrogate", frames: [mirror('"\\ud800"')], expected: badData("data: contains a lone surrogate") },
  { name: "a lone surrogate for a name", frames: ['421["\\udfff",{}]'], expected: badData("lone surrogate") },
  { name: "1e400", frames: [mirror("[1e400]")], expected: badData("data[0]: is not a finite number") },
  { name: "-1e400", frames: [mirror("-1e400")], expected: badData("finite") },
  { name: "__proto__", frames: [mirror('{"__proto__":{"polluted":1}}')], expected: badData("data.__proto__: ") },
  { name: "__proto__, escaped", frames: [mirror('{"\\u005f\\u005fproto__":{}}')], expected: badData("__proto__") },
  {
    name: "a constructor's prototype",
    frames: [mirror('{"constructor":{"prototype":{"polluted":1}}}')],
    expected: badData("data.constructor"),
  },
  {
    name: "__proto__ as the argument's key",
    frames: ['421["echo",{"text":"x","__proto__":{}}]'],
    expected: badData("__proto__"),
  },
  { name: "NaN", frames: [mirror("NaN")], expected: badData("not JSON") },
  { name: "half an event", frames: ['421["echo",{"text":'], expected: badData("not JSON") },
  { name: "an event and a half", frames: ['421["echo",{"text":"x"}]["echo"'], expected: badData("not JSON") },
  { name: "a bare NUL", frames: [mirror('"\u0000"')], expected: badData("not JSON") },
  { name: "half an event nobody is to answer", frames: ['42["echo",'], expected: fault("not JSON") },

  // Shapes
  {
    name: "no argument",
    frames: ['421["echo"]'],
    expected: badData("argument: expected exactly one argument, an object with text"),
  },
  {
    name: "two arguments",
    frames: ['421["echo",{"text":"x"},{"text":"y"}]'],
    expected: badData("argument: expected exactly one argument"),
  },
  { name: "null for an argument", frames: ['421["echo",null]'], expected: badData("argument: must be an object") },
  {
    name: "an array for an argument",
    frames: ['421["echo",[{"text":"x"}]]'],
    expected: badData("argument: must be an object"),
  },
  {
    name: "a string for an argument",
    frames: ['421["echo","text"]'],
    expected: badData("argument: must be an object with text"),
  },
  { name: "a wrong field", frames: ['421["echo",{"text":7}]'], expected: badData("text: ") },
  { name: "a missing field", frames: ['421["echo",{}]'], expected: badData("text: is required") },
  { name: "an unknown field", frames: ['421["echo",{"text":"x","more":1}]'], expected: badData("more: is unknown") },
  { name: "an empty event", frames: ["421[]"], expected: badData("event: must be a string") },
  {
    name: "a handler that throws",
    frames: ['421["break",{}]'],
    expected: { acknowledged: "internal", message: "Internal error. Details are in the server log." },
  },
  {
    name: "a name of 60000 characters",
    frames: [`421["${"n".repeat(60_000)}",{}]`],
    expected: unknownEvent,
  },

  // Names that mean something to an event emitter
  ...[
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "connection",
    "error",
    "newListener",
    "removeListener",
  ].map((name) => ({ name: `event ${name}`, frames: [`421["${name}",{}]`], expected: unknownEvent })),
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "", "ready", "closing"].map((name) => ({
    name: `event "${name}"`,
    frames: [`421["${name}",{}]`],
    expected: unknownEvent,
  })),
  ...["7", "null", "true", "{}", '["echo"]', "-0"].map((name) => ({
    name: `event ${name}`,
    frames: [`421[${name},{"text":"x"}]`],
    expected: badData("event: must be a string"),
  })),

  // Acknowledgements
  { name: "an acknowledgement nobody asked for", frames: ["4317[1]"], expected: fault("this type") },
  { name: "an acknowledgement without an id", frames: ["43[]"], expected: fault("this type") },
  {
    name: "an id of 100000 digits",
    frames: [`42${"9".repeat(100_000)}["echo",{"text":"x"}]`],
    expected: fault("id is too long"),
  },
  {
    name: "an id beyond the exact numbers",
    frames: ['429007199254740993["echo",{"text":"x"}]'],
    expected: fault("id is too long"),
  },
  { name: "a negative id", frames: ['42-1["echo",{"text":"x"}]'], expected: fault("JSON array") },
  { name: "a broken id", frames: ['421.5["echo",{"text":"x"}]'], expected: fault("JSON array") },

  // Packets that are none
  { name: "an empty message", frames: ["4"], expected: fault("") },
  { name: "an empty frame", frames: [""], expected: fault("") },
  { name: "an unknown packet type", frames: ["49[]"], expected: fault("this type") },
  { name: "an unknown transport packet", frames: ["9"], expected: fault("this type") },
  { name: "a client's own ping", frames: ["2"], expected: fault("this type") },
  { name: "a connect_error from a client", frames: ['44{"message":"x"}'], expected: fault("this type") },
  { name: "a disconnect with a body", frames: ["41[1]"], expected: fault("must be empty") },
  { name: "an event that is an object", frames: ['421{"echo":{}}'], expected: fault("JSON array") },
  { name: "an event that is a string", frames: ['421"echo"'], expected: fault("JSON array") },
  { name: "an event without a body", frames: ["42"], expected: fault("JSON array") },
  { name: "a second CONNECT", frames: ['40{"token":"another"}'], expected: fault("connected already") },
  { name: "an id without a body", frames: ["421"], expected: fault("JSON array") },
  { name: "text", frames: ["GET / HTTP/1.1\r\n\r\n"], expected: fault("this type") },

  // Binary
  {
    name: "a binary event that nothing handles",
    frames: ['451-1["draw",{"_placeholder":true,"num":0}]', Buffer.from("x")],
    expected: unknownEvent,
  },
  {
    name: "a binary argument",
    frames: ['451-1["echo",{"text":{"_placeholder":true,"num":0}}]', Buffer.from("x")],
    expected: { acknowledged: "bad_request", message: "text: must not contain binary data" },
  },
  {
    name: "a binary event of more than twice the limit",
    frames: ['452-1["draw",{"_placeholder":true,"num":0}]', Buffer.alloc(131_000), Buffer.alloc(131_000)],
    expected: fault("too large"),
  },
  {
    name: "eleven attachments",
    frames: ['4511-1["draw"]', ...Array.from({ length: 11 }, () => Buffer.from("x"))],
    expected: { acknowledged: "payload_too_large", message: "The payload has more than 10 binary attachments." },
  },
  {
    name: "eleven attachments nobody is to answer",
    frames: ['4511-["draw"]', ...Array.from({ length: 11 }, () => Buffer.from("x"))],
    expected: fault("more than 10 binary"),
  },
  { name: "the head of a hundred attachments", frames: ['45100-["echo"]'], expected: fault("this type") },
  { name: "the head of a billion attachments", frames: ['451000000000-["echo"]'], expected: fault("this type") },
  {
    name: "a binary head, then text",
    frames: ['451-["echo",{"_placeholder":true,"num":0}]', '42["echo",{}]'],
    expected: fault("attachment is missing"),
  },
  {
    name: "a placeholder out of range",
    frames: ['451-["echo",{"_placeholder":true,"num":9}]', Buffer.from("x")],
    expected: fault("names no attachment"),
  },
  { name: "a binary acknowledgement", frames: ['461-1[{"_placeholder":true,"num":0}]'], expected: fault("this type") },
  { name: "an attachment without its head", frames: [Buffer.from("x")], expected: fault("Binary") },
  { name: "a large attachment", frames: [Buffer.alloc(65_536)], expected: fault("Binary") },
  { name: "base64 in text", frames: ["bAAAA"], expected: fault("Binary") },

  // Namespaces
  { name: "another namespace", frames: ["40/admin,{}"], expected: { connectError: "Invalid namespace" } },
  { name: "namespace __proto__", frames: ["40/__proto__,"], expected: { connectError: "Invalid namespace" } },
  { name: "a namespace like a glob", frames: ["40/*,{}"], expected: { connectError: "Invalid namespace" } },
  { name: "a namespace of 10 kB", frames: [`40/${"n".repeat(10_240)},{}`], expected: fault("name is too long") },
  {
    name: "a thousand namespaces",
    frames: Array.from({ length: 1_000 }, (_, n) => `40/n${n},`),
    expected: { connectError: "Invalid namespace" },
  },
  {
    name: "an event for another namespace",
    frames: ['42/admin,1["echo",{"text":"x"}]'],
    expected: fault("Only the namespace /"),
  },
  { name: "a disconnect from another namespace", frames: ["41/admin,"], expected: fault("Only the namespace /") },

  // WebSocket frames
  { name: "invalid UTF-8", bytes: [frame(0x81, Buffer.from([0x34, 0x32, 0xff, 0xfe]))], expected: { closed: 1007 } },
  {
    name: "a surrogate in UTF-8",
    bytes: [frame(0x81, Buffer.from([0x34, 0xed, 0xa0, 0x80]))],
    expected: { closed: 1007 },
  },
  { name: "an unmasked frame", bytes: [frame(0x81, "2", false)], expected: { closed: 1002 } },
  { name: "a reserved bit", bytes: [frame(0xc1, "2")], expected: { closed: 1002 } },
  { name: "a reserved opcode", bytes: [frame(0x83, "2")], expected: { closed: 1002 } },
  { name: "a continuation of nothing", bytes: [frame(0x80, "2")], expected: { closed: 1002 } },
  { name: "a new message within a message", bytes: [frame(0x01, "4"), frame(0x01, "2")], expected: { closed: 1002 } },
  { name: "a fragmented ping", bytes: [frame(0x09, "")], expected: { closed: 1002 } },
  { name: "a ping of 126 bytes", bytes: [frame(0x89, "x".repeat(126))], expected: { closed: 1002 } },
  {
    name: "a frame of 2^63 bytes",
    bytes: [Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    expected: { closed: 1009 },
  },
  {
    name: "a frame that claims 1 GB",
    bytes: [Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])],
    expected: { closed: 1009 },
  },
  {
    name: "a compressed frame nobody agreed on",
    bytes: [frame(0xc1, Buffer.from([0x4a, 0x4c, 0x04, 0x00]))],
    expected: { closed: 1002 },
  },
  {
    name: "65 fragments of one message",
    bytes: [frame(0x01, "4"), ...Array.from({ length: 64 }, () => frame(0x00, "x"))],
    expected: { closed: 1008 },
  },
  {
    name: "empty fragments",
    bytes: [frame(0x01, ""), ...Array.from({ length: 1_000 }, () => frame(0x00, ""))],
    expected: { closed: 1008 },
  },
];

it("knows more than sixty kinds", () => {
  expect(hostileFrames.length).toBeGreaterThan(60);
  expect(new Set(hostileFrames.map(({ name }) => name)).size).toBe(hostileFrames.length);
});

it.each(hostileFrames)(
  "$name: refused by name, and nobody else notices",
  async ({ frames = [], bytes = [], expected }) => {
    const edge = await startEdge();
    const bystander = await connected(stockClient(edge.url, { transports: ["websocket"] }));
    const attacker = await new RawSocket(edge).entered();
    const seen = attacker.received.length;

    attacker.send(...frames);
    for (const part of bytes) attacker.tcp.write(part);
    const outcome: Outcome = await attacker.outcome(seen);

    expect(outcome).toMatchObject(expected);
    await expectGone(edge, attacker, outcome);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(await bystander.timeout(20_000).emitWithAck("echo", { text: "still here" })).toEqual({
      ok: true,
      text: "still here",
    });
  },
);

/** Whoever was not only answered is disconnected, and leaves nothing behind. */
async function expectGone(edge: Edge, attacker: RawSocket, outcome: Outcome): Promise<void> {
  if ("acknowledged" in outcome || "connectError" in outcome) return;
  await attacker.until(() => attacker.closeCode !== undefined);
  await expect.poll(() => edge.sockets.connections.count).toBe(1);
}
