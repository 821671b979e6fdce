import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { expect, onTestFinished, test } from "vitest";
import { streamText } from "../../examples/token-stream/stream-text.ts";
import { ownProcess } from "../support/child.ts";
import { freePort } from "../support/redis-server.ts";

interface Answer {
  channel: string;
  snapshot: { text: string };
}

const script = fileURLToPath(new URL("../../scripts/example.ts", import.meta.url));

async function startExample(): Promise<string> {
  const port = await freePort();
  const env = { PATH: process.env["PATH"], LOG_LEVEL: "warn", DRAIN_TIMEOUT_MS: "2000", PORT: `${port}` };
  const child = spawn(process.execPath, [script, "token-stream"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const own = ownProcess(child);
  onTestFinished(async () => void (await own.stop()));
  const isRunning = await Promise.race([once(child.stdout, "data").then(() => true), own.ended.then(() => false)]);
  if (!isRunning) throw new Error("the example has ended");
  return `http://127.0.0.1:${port}`;
}

function connect(url: string, guest: string) {
  const socket = io(url, { forceNew: true, transports: ["websocket"], auth: { guest } });
  onTestFinished(() => void socket.disconnect());
  return socket;
}

/** Resolves with the text when `done` follows. */
function follow(socket: ReturnType<typeof connect>, channel: string): Promise<{ first: string; whole: string }> {
  return new Promise((resolve) => {
    let [first, text] = ["", ""];
    socket.on("publication", ({ event, data }: { event: string; data: string }) => {
      if (event === "token") text += data;
      else resolve({ first, whole: text });
    });
    socket.emit("subscribe", { channel }, ({ snapshot }: Answer) => (first = text = snapshot.text));
  });
}

test("a page that comes late shows the whole answer of the example", async () => {
  const url = await startExample();
  const [early, latecomer] = [connect(url, "early"), connect(url, "late")];
  await Promise.all([early, latecomer].map((socket) => once(socket as never, "connect")));
  const { channel } = (await early.emitWithAck("ask", "why?")) as Answer;
  const whole = follow(early, channel);
  await once(early as never, "publication");
  const late = await follow(latecomer, channel);

  expect(late.first).toMatch(/^You/);
  expect(late.whole).toMatch(/goes out\.$/);
  expect((await whole).whole).toBe(late.whole);
});

test("tokens that come together share a publication, in order, and the end follows", async () => {
  const published: object[] = [];
  async function* tokens() {
    yield* ["a", "b", "c"];
  }

  await streamText(async (publication) => void published.push(publication), "answer:1", tokens());

  expect(published).toMatchObject([
    { event: "token", data: "abc" },
    { event: "done", data: { reason: "stop" } },
  ]);
});
