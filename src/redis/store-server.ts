import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { promisify } from "node:util";

/** A running server. `ended` settles when it exits. */
export interface StoreProcess {
  ended: Promise<string>;
  advance?(ms: number): Promise<void>;
  stop(): Promise<void>;
}

/** Sharded pub/sub came with 7.0. */
const oldestMajor = 7;

/** `file` if it is on PATH and new enough. */
export async function findStoreServer(file: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(file, ["--version"], { timeout: 5_000 });
    const major = Number(/v=(\d+)\./.exec(stdout)?.[1] ?? 0);
    return major >= oldestMajor ? file : undefined;
  } catch {
    // Not installed or not executable: the next kind is tried.
    return undefined;
  }
}

/**
 * The server must not outlive the gateway, even if that is killed: a shell holds the reading end of a pipe whose writing end
 * the gateway holds, and stops the server when the pipe closes. Arguments: the server and its arguments.
 */
const watchedServer = `
  exec 3<&0
  "$@" </dev/null 3<&- &
  server=$!
  { cat <&3 >/dev/null; kill "$server" 2>/dev/null; } &
  wait "$server"`;

/** Starts a server on a loopback port; rejects if it exits before it listens. */
export async function startStoreServer(file: string, port: number): Promise<StoreProcess> {
  // Detached, so that Ctrl-C in a terminal stops the gateway first, which drains while its store is still running.
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

/** Waits for the server's message instead of an open port, which another process may have taken. */
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
    // It has just exited.
  }
}
