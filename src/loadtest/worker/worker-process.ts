import { createInterface } from "node:readline";
import { fromParts, toParts } from "../judge/ledger.ts";
import { createWork } from "../load/create-work.ts";
import { Publisher } from "../load/publisher.ts";
import { schedule } from "../load/schedule.ts";
import { labNow, type Plan } from "../plan.ts";
import { seededFor } from "../random.ts";
import { Tally } from "../tally.ts";
import { Audience } from "./audience.ts";
import { watchOwnLoad } from "./loop-watch.ts";
import type { Instruction, Word } from "./messages.ts";

/**
 * One process of the load generator: holds readers, or publishes. Started by the lab, which talks to it over standard
 * input and output; when its input ends, so does it, and that is also how it never outlives the lab.
 */
const tally = new Tally();
const ownLoad = watchOwnLoad(tally);
const seconds = setInterval(sayNextSecond, 50);
const lines = createInterface({ input: process.stdin });
let second = Math.floor(labNow() / 1_000);
let audience: Audience | undefined;
let publisher: Publisher | undefined;

for await (const line of lines) follow(JSON.parse(line) as Instruction);
await end();

function follow(instruction: Instruction): void {
  switch (instruction.type) {
    case "hold":
      audience = new Audience(instruction, tally);
      return audience.open();
    case "prepare":
      return void (publisher = createPublisher(instruction.plan));
    case "publish":
      return publisher?.start(instruction.at);
    case "cut":
      return audience?.cut(instruction.share, instruction.spreadMs, instruction.round);
    case "stall":
      return audience?.stall(instruction.share, instruction.forMs, instruction.round);
    case "ask interest":
      return say({ type: "interest", channels: audience?.interest() ?? {} });
    case "stop publishing":
      return void stopPublishing();
    case "judge":
      return void judge(instruction);
  }
}

function createPublisher(plan: Plan): Publisher | undefined {
  const { load, durationSeconds } = plan.scenario;
  const work = createWork(plan);
  if (work === undefined || load.type === "none") return undefined;
  const moments = schedule({ ...load, durationSeconds }, seededFor(plan.seed, "schedule"));
  return new Publisher({ work, schedule: moments, tally, random: seededFor(plan.seed, "repeats") });
}

async function stopPublishing(): Promise<void> {
  const ledger = toParts((await publisher?.stop()) ?? new Map());
  sayWhatIsCounted();
  say({ type: "ledger", ledger });
}

async function judge({ ledger, tops, withinMs }: Extract<Instruction, { type: "judge" }>): Promise<void> {
  const verdict = await audience?.judge(fromParts(ledger), tops, withinMs);
  sayWhatIsCounted();
  if (verdict !== undefined) say({ type: "verdict", verdict });
}

/** Each second of the wall clock once it is over, so that those of all workers fit together. */
function sayNextSecond(): void {
  const now = Math.floor(labNow() / 1_000);
  if (now === second) return;
  sayWhatIsCounted();
  second = now;
}

/** Also a part of a second: parts of the same are added. */
function sayWhatIsCounted(): void {
  say({ type: "second", at: second, second: tally.take() });
}

function say(word: Word): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

async function end(): Promise<void> {
  clearInterval(seconds);
  ownLoad.stop();
  audience?.close();
  // A publisher that is told to stop twice says the same twice.
  await publisher?.stop();
  // Something that still holds on must not keep the process.
  setTimeout(() => process.kill(process.pid, "SIGKILL"), 5_000).unref();
}
