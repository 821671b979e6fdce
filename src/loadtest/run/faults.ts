import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ScenarioFault } from "../scenario.ts";

/** A scheduled fault. `round` counts the repetitions of one entry of the scenario. */
export interface DueFault {
  atSeconds: number;
  round: number;
  fault: ScenarioFault;
}

/** All faults of the run, in order of time. */
export function planFaults(faults: readonly ScenarioFault[], durationSeconds: number): DueFault[] {
  return faults.flatMap((fault) => roundsOf(fault, durationSeconds)).toSorted((a, b) => a.atSeconds - b.atSeconds);
}

function roundsOf(fault: ScenarioFault, durationSeconds: number): DueFault[] {
  const { atSeconds, everySeconds = Number.POSITIVE_INFINITY } = fault;
  const count = atSeconds >= durationSeconds ? 0 : Math.ceil((durationSeconds - atSeconds) / everySeconds) || 1;
  return Array.from({ length: count }, (_, round) => ({
    atSeconds: round === 0 ? atSeconds : atSeconds + round * everySeconds,
    round,
    fault,
  }));
}

/** How to end nodes: each pid is used once, the command every time. */
export interface EndMethod {
  pids: readonly number[];
  command: string | undefined;
}

export type EndMethods = Record<"kill" | "drain", EndMethod>;

const signals = { kill: "SIGKILL", drain: "SIGTERM" } as const;

/** The returned function ends the next node and resolves to a description. */
export function createNodeEnder(ending: EndMethods): (what: "kill" | "drain") => Promise<string> {
  const left = { kill: [...ending.kill.pids], drain: [...ending.drain.pids] };
  return async (what) => {
    const pid = left[what].shift();
    const { command } = ending[what];
    if (pid !== undefined) return signalProcess(pid, signals[what]);
    return command === undefined ? `no process left to ${what}` : runCommand(command);
  };
}

function signalProcess(pid: number, signal: NodeJS.Signals): string {
  try {
    process.kill(pid, signal);
    return `${signal} to process ${pid}`;
  } catch {
    // The report contains the message; the run continues.
    return `process ${pid} does not exist (${signal})`;
  }
}

/** Runs the user's command in a shell. */
async function runCommand(command: string): Promise<string> {
  const [code] = (await once(spawn(command, { shell: true, stdio: "ignore" }), "exit")) as [number | null];
  return `${command} (exit ${code ?? "by signal"})`;
}
