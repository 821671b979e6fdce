import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import type { StoreProcess } from "./embedded.ts";

/** Sharded pub/sub came with 7.0. */
const oldestMajor = 7;

/** `file` where it is on PATH and new enough. */
export async function findStoreServer(file: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(file, ["--version"], { timeout: 5_000 });
    const major = Number(/v=(\d+)\./.exec(stdout)?.[1] ?? 0);
    return major >= oldestMajor ? file : undefined;
  } catch {
    // Not installed, or not runnable: the next kind is tried.
    return undefined;
  }
}

/**
 * The server must not outlive the gateway, not even one that was killed: a shell holds the reading end of a pipe whose
 * writing end the gateway holds, and ends the server when the pipe breaks. Arguments: the server and its own.
 */
const watchedServer = `
  exec 3<&0
  "$@" </dev/null 3<&- &
  server=$!
  { cat <&3 >/dev/null; kill "$server" 2>/dev/null; } &
  wait "$server"`;

/** Starts a server on `port` of loopback; rejects where it ends before it listens. */
export async function startStoreServer(file: string, port: number): Promise<StoreProcess> {
  // Detached, so that Ctrl-C in a terminal ends the gateway first, which then drains with its store still there.
  const child = spawn("sh", ["-c", watchedServer, "sh", file, ...serverArguments(port)], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  const ended = once(child, "exit").then(([code, signal]) => `exit ${String(code ?? signal)}`);
  await isListening(child, ended);
  return { ended, stop: () => stop(child, ended) };
}

function serverArguments(port: number): string[] {
  const settings = {
    port: `${port}`,
    bind: "127.0.0.1",
    save: "",
    appendonly: "no",
    dir: tmpdir(),
    "maxmemory-policy": "noeviction",
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/** The server's own word, not an open port: on a lost race for the port somebody else would answer there. */
async function isListening(child: ChildProcess, ended: Promise<string>): Promise<void> {
  const says = new Promise<"ready">((resolve) => {
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      output = (output + chunk).slice(-4_096);
      if (output.includes("Ready to accept connections")) resolve("ready");
    });
  });
  const first = await Promise.race([says, ended]);
  if (first !== "ready") throw new Error(`${child.spawnargs[4] ?? "the store"} did not start: ${first}`);
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.stdin?.end();
  const force = setTimeout(() => killGroup(child), 3_000);
  await ended;
  clearTimeout(force);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended in the same moment.
  }
}
