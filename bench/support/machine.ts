import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Measured servers run on the first core, load generators on the second. */
export type Core = 0 | 1;

export const canPin = cpus().length > 1 && spawnSync("taskset", ["--version"]).status === 0;

/** Describes the machine in one line. */
export const machine = (): string =>
  `${cpus()[0]?.model.trim() ?? "?"} × ${cpus().length}, Node ${process.versions.node}, ` +
  (canPin ? "servers on core 0, load and Redis on core 1" : "no cores given to anybody");

const children = new Set<ChildProcess>();
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** Starts a program on a core. Its standard output is piped, its errors are inherited. */
export function startOn(core: Core, [file = "", ...words]: string[], env: Record<string, string> = {}): ChildProcess {
  const command = canPin ? ["taskset", "-c", `${core}`, file, ...words] : [file, ...words];
  const child = spawn(command[0] as string, command.slice(1), {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

export async function ended(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  const force = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exit;
  clearTimeout(force);
}

/** CPU time of all threads of a process in microseconds; more precise than `/proc/…/stat`. */
export function cpuMicros(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const nanos = readdirSync(folder).map((task) =>
    Number(readFileSync(`${folder}/${task}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanos.reduce((sum, one) => sum + one, 0) / 1_000;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1_024;
}

/** Prints why a benchmark is skipped. */
export function skip(what: string, why: string): void {
  process.stdout.write(`!!! ${what} is skipped: ${why}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
