import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import express from "express";
import { createGateway } from "tidegate";
import { z } from "zod";
import { streamText } from "./stream-text.ts";

const app = express();
const server = createServer(app);
const gateway = await createGateway({
  server,
  env: process.env,
  channels: { answer: { subscribe: "public", merge: "append" } },
});
gateway.hooks.connect(({ connection }) => ({ userId: `guest:${String(connection?.auth.guest)}` }));

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.html")));

/** In place of a language model: its client's stream of tokens goes here. */
async function* generate(question: string): AsyncGenerator<string> {
  const answer = `You asked: ${question}\n\n${"The tide comes in, and the tide goes out. ".repeat(20)}`;
  for (const token of answer.match(/\s*\S+/g) ?? []) {
    await pause(15);
    yield token;
  }
}

gateway.on("ask", z.string().max(1_000), async (_context, question) => {
  const channel = `answer:${randomUUID()}`;
  streamText((publication) => gateway.publish(publication), channel, generate(question)).catch(process.emitWarning);
  return { channel };
});

await gateway.listen(Number(process.env.PORT ?? 3000));
