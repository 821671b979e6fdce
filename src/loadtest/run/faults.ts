import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Fault } from "../scenario.ts";

/** A fault at its time. `round` counts those that the same entry of the scenario makes. */
export interface DueFault {
  atSeconds: number;
  round: number;
  fault: Fault;
}

/** Everything that is to happen within the run, in order. */
export function planFaults(faults: readonly Fault[], durationSeconds: number): DueFault[] {
  return faults.flatMap((fault) => roundsOf(fault, durationSeconds)).toSorted((a, b) => a.atSeconds - b.atSeconds);
}

function roundsOf(fault: Fault, durationSeconds: number): DueFault[] {
  const { atSeconds, everySeconds = Number.POSITIVE_INFINITY } = fault;
  const count = atSeconds >= durationSeconds ? 0 : Math.ceil((durationSeconds - atSeconds) / everySeconds) || 1;
  return Array.from({ length: count }, (_, round) => ({
    atSeconds: round === 0 ? atSeconds : atSeconds + round * everySeconds,
    round,
    fault,
  }));
}

/** How nodes are ended, as the user said; each pid serves once, a command each time. */
export interface NodeEnds {
  pids: readonly number[];
  command: string | undefined;
}

export type NodeEnding = Record<"kill" | "drain", NodeEnds>;

const signals = { kill: "SIGKILL", drain: "SIGTERM" } as const;

/** Ends the next node; resolves with what was done, in words. */
export function createNodeEnder(ending: NodeEnding): (what: "kill" | "drain") => Promise<string> {
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
    // The report says it; the run goes on.
    return `process ${pid} does not exist (${signal})`;
  }
}

/** A shell, as the user typed it. */
async function runCommand(command: string): Promise<string> {
  const [code] = (await once(spawn(command, { shell: true, stdio: "ignore" }), "exit")) as [number | null];
  return `${command} (exit ${code ?? "by signal"})`;
}
