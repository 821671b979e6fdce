import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { connected, goodToken, startEdge, stockClient, type Edge } from "../support/edge.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";
import { seeded } from "../support/random.ts";

/** `npm run test:frames` for the long walk. */
const frames = Number(process.env.FUZZ_FRAMES ?? 10_000);

const samples = [
  '421["echo",{"text":"hello"}]',
  '42["mirror",{"data":[1,-0,1.5e3,"é😀\\u0041",{"a":null,"b":[true,false]}]}]',
  '4217["mirror",{"data":{"nested":[[[[{"deep":"\\ud83d\\ude00"}]]]]}}]',
  '421["break",{}]',
  `40{"token":"${goodToken}"}`,
  "41",
  "40/admin,{}",
  '431[{"ok":true}]',
  '452-["echo",{"_placeholder":true,"num":0}]',
  "2probe",
  "3",
  "6",
];

const splinters = [
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "-",
  "9",
  "e",
  "\u0000",
  "\ud800",
  "\u001e",
  "/",
  '"__proto__":',
];

/** A frame that was right once. */
function mutated(random: () => number): string {
  const pick = (count: number): number => Math.floor(random() * count);
  let text = samples[pick(samples.length)] ?? "";
  for (let change = pick(4); change > 0; change -= 1) {
    const at = pick(text.length + 1);
    const splinter = (splinters[pick(splinters.length)] ?? "").repeat(random() < 0.02 ? pick(5_000) : 1);
    text = text.slice(0, at) + (random() < 0.7 ? splinter : "") + text.slice(at + pick(3));
  }
  return text;
}

/** What a client that behaves gets at the end of it all. */
async function answerOf(edge: Edge): Promise<unknown> {
  const bystander = await connected(stockClient(edge.url, { transports: ["websocket"] }));
  return bystander.timeout(20_000).emitWithAck("echo", { text: "x" });
}

it(`survives ${frames} mutated frames`, { timeout: 60_000 + frames }, async () => {
  const edge = await startEdge();
  const random = seeded(20_261);

  let attacker = await new RawSocket(edge).entered();
  for (let sent = 0; sent < frames; sent += 1) {
    attacker.send(mutated(random));
    if (sent % 8 === 0) await setImmediate();
    if (!attacker.isOpen) attacker = await new RawSocket(edge).entered();
  }

  expect(await answerOf(edge)).toEqual({ ok: true, text: "x" });
});

it("survives mutated bodies of polling requests", async () => {
  const edge = await startEdge();
  const random = seeded(20_262);

  for (let round = 0; round < 150; round += 1) {
    const client = await new RawPolling(edge).entered();
    const body = Array.from({ length: 3 }, () => mutated(random)).join("\u001e");
    await Promise.all([client.post(body).catch(() => undefined), client.poll().catch(() => undefined)]);
  }

  expect(await answerOf(edge)).toEqual({ ok: true, text: "x" });
});

it("survives bytes that are no WebSocket frames", async () => {
  const edge = await startEdge();
  const random = seeded(20_263);

  for (let round = 0; round < 300; round += 1) {
    const attacker = await new RawSocket(edge).opened();
    const bytes = Uint8Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() * 256));
    attacker.tcp.end(bytes);
  }

  expect(await answerOf(edge)).toEqual({ ok: true, text: "x" });
});
