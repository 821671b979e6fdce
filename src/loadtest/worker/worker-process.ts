import { createInterface } from "node:readline";
import { fromParts, toParts } from "../verification/publish-log.ts";
import { createWorkload } from "../load/create-workload.ts";
import { ScheduledPublisher } from "../load/scheduled-publisher.ts";
import { schedule } from "../load/schedule.ts";
import { epochNow, type Plan } from "../plan.ts";
import { seededFor } from "../random.ts";
import { Measurements } from "../measurements.ts";
import { VirtualUsers } from "./virtual-users.ts";
import { monitorOwnLoad } from "./own-load.ts";
import type { WorkerCommand, WorkerEvent } from "./messages.ts";

/**
 * One process of the load generator, with virtual users or the publisher. It receives commands on standard input and
 * writes events to standard output. It exits when its input ends, so it never outlives the process that started it.
 */
const measurements = new Measurements();
const ownLoad = monitorOwnLoad(measurements);
const seconds = setInterval(sayNextSecond, 50);
const lines = createInterface({ input: process.stdin });
let second = Math.floor(epochNow() / 1_000);
let users: VirtualUsers | undefined;
let publisher: ScheduledPublisher | undefined;

for await (const line of lines) follow(JSON.parse(line) as WorkerCommand);
await end();

function follow(instruction: WorkerCommand): void {
  switch (instruction.type) {
    case "hold":
      users = new VirtualUsers(instruction, measurements);
      return users.open();
    case "prepare":
      return void (publisher = createPublisher(instruction.plan));
    case "publish":
      return publisher?.start(instruction.at);
    case "cut":
      return users?.cut(instruction.share, instruction.spreadMs, instruction.round);
    case "stall":
      return users?.stall(instruction.share, instruction.forMs, instruction.round);
    case "ask interest":
      return say({ type: "interest", channels: users?.interest() ?? {} });
    case "stop publishing":
      return void stopPublishing();
    case "judge":
      return void judge(instruction);
  }
}

function createPublisher(plan: Plan): ScheduledPublisher | undefined {
  const { load, durationSeconds } = plan.scenario;
  const work = createWorkload(plan);
  if (work === undefined || load.type === "none") return undefined;
  const moments = schedule({ ...load, durationSeconds }, seededFor(plan.seed, "schedule"));
  return new ScheduledPublisher({
    workload: work,
    schedule: moments,
    measurements,
    random: seededFor(plan.seed, "repeats"),
  });
}

async function stopPublishing(): Promise<void> {
  const publishLog = toParts((await publisher?.stop()) ?? new Map());
  sayWhatIsCounted();
  say({ type: "publishLog", publishLog });
}

async function judge({ publishLog, tops, withinMs }: Extract<WorkerCommand, { type: "judge" }>): Promise<void> {
  const verdict = await users?.verify(fromParts(publishLog), tops, withinMs);
  sayWhatIsCounted();
  if (verdict !== undefined) say({ type: "verdict", verdict });
}

/** Each second of the wall clock once it is over, so that those of all workers result together. */
function sayNextSecond(): void {
  const now = Math.floor(epochNow() / 1_000);
  if (now === second) return;
  sayWhatIsCounted();
  second = now;
}

/** May report part of a second: parts are added. */
function sayWhatIsCounted(): void {
  say({ type: "second", at: second, second: measurements.take() });
}

function say(word: WorkerEvent): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

async function end(): Promise<void> {
  clearInterval(seconds);
  ownLoad.stop();
  users?.close();
  // Stopping the publisher twice is harmless.
  await publisher?.stop();
  // An open handle must not keep the process alive.
  setTimeout(() => process.kill(process.pid, "SIGKILL"), 5_000).unref();
}
