import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { PassedAct } from "./bound.ts";
import type { TakerOrders } from "./taker.ts";

/** A node in a process of its own, and what it let through. */
export interface TakerProcess {
  process: ChildProcess;
  passed: PassedAct[];
  /** Politely; resolves when it is gone and all its lines were read. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export function startTaker(orders: TakerOrders): TakerProcess {
  const file = fileURLToPath(new URL("./taker.ts", import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(orders)], { stdio: ["ignore", "pipe", "inherit"] });
  const passed: PassedAct[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) passed.push(actOf(line));
  });
  const closed = once(child, "close");
  onTestFinished(() => void child.kill("SIGKILL"));
  return {
    process: child,
    passed,
    async end(signal = "SIGTERM") {
      child.kill(signal);
      await closed;
    },
  };
}

function actOf(line: string): PassedAct {
  const [asked = 0, heard = 0] = line.split(" ").map((micros) => Number(micros) / 1_000);
  return { asked, heard, cost: 1 };
}
