import { expect, it } from "vitest";
import { startEdge } from "../support/edge.ts";
import { frame, RawSocket } from "../support/hostile.ts";

const mirror = (json: string): string => `421["mirror",{"data":${json}}]`;
const mirrored = (json: string): string => `431[{"ok":true,"data":${json}}]`;
const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

/** An event whose JSON is exactly so many bytes long. */
function echoOf(bytes: number): { packet: string; answer: string } {
  const text = "x".repeat(bytes - '["echo",{"text":""}]'.length);
  return { packet: `421["echo",{"text":"${text}"}]`, answer: `431[{"ok":true,"text":"${text}"}]` };
}

it.each([
  ["a message at the limit", echoOf(65_536).packet, echoOf(65_536).answer],
  ["the deepest nesting allowed", mirror(nested(30)), mirrored(nested(30))],
  ["a namespace that is spelled out", '42/,1["echo",{"text":"x"}]', '431[{"ok":true,"text":"x"}]'],
  [
    "the largest acknowledgement id",
    '429007199254740991["echo",{"text":"x"}]',
    '439007199254740991[{"ok":true,"text":"x"}]',
  ],
  ["white space in the JSON", '421 ["echo",{"text":"x"}]'.replace(" [", "[ "), '431[{"ok":true,"text":"x"}]'],
  ["-0", mirror("-0"), mirrored("0")],
  ["2^53 + 2", mirror("9007199254740994"), mirrored("9007199254740994")],
  ["an escaped NUL", mirror('"\\u0000"'), mirrored('"\\u0000"')],
  ["text that changes direction", mirror('"\u202e\u2066"'), mirrored('"\u202e\u2066"')],
  ["surrogates in pairs", mirror('"\\ud83d\\ude00"'), mirrored('"😀"')],
  ["a harmless constructor", mirror('{"constructor":"Ferrari"}'), mirrored('{"constructor":"Ferrari"}')],
])("takes %s", async (_, packet, answer) => {
  const client = await new RawSocket(await startEdge()).entered();

  client.send(packet);

  await expect.poll(() => client.received.at(-1)).toBe(answer);
});

it("takes a message in 64 fragments, in pieces of a few bytes", async () => {
  const client = await new RawSocket(await startEdge()).entered();
  const { packet, answer } = echoOf(128);
  const pieces = Array.from({ length: 64 }, (_, index) => packet.slice(index * 3, index * 3 + 3));
  const frames = pieces.map((piece, index) => frame(index === 0 ? 0x01 : index === 63 ? 0x80 : 0x00, piece));

  for (const bytes of frames) client.tcp.write(bytes);

  await expect.poll(() => client.received.at(-1)).toBe(answer);
});

it("handles a message without an acknowledgement, and counts its refusal", async () => {
  const edge = await startEdge();
  const client = await new RawSocket(edge).entered();

  client.send('42["echo",{"text":7}]', '42["echo",{"text":"x"}]', '421["echo",{"text":"x"}]');
  await client.until(() => client.received.at(-1) === '431[{"ok":true,"text":"x"}]');

  expect(client.received.filter((packet) => packet.startsWith("43"))).toHaveLength(1);
  expect(client.isOpen).toBe(true);
  const refusals = await edge.metrics.refusals.get();
  expect(refusals.values).toContainEqual(
    expect.objectContaining({ labels: { code: "bad_request", limiter: "" }, value: 1 }),
  );
});
