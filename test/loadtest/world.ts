import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Report } from "../../src/loadtest/report/report.ts";
import { ownProcess } from "../support/child.ts";
import { apiKey } from "../support/gateway.ts";
import { freePort } from "../support/redis-server.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

/** A run of `tidegate loadtest` as somebody would start it. */
export interface LoadTest {
  child: ChildProcess;
  /** What it has said so far. */
  said(): string;
  ended: Promise<Ended>;
}

export interface Ended {
  code: number;
  out: string;
  err: string;
  /** Both as written, where they were. */
  report?: Report;
  html?: string;
}

export function startLoadTest(words: readonly string[]): LoadTest {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-loadtest-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const all = ["src/main.ts", "loadtest", "--report", folder, "--api-key", apiKey, ...words];
  const child = spawn(process.execPath, all, { cwd: repository, env: { PATH: process.env["PATH"] } });
  const own = ownProcess(child);
  onTestFinished(async () => void (await own.stop()));
  const [out, err] = [textOf(child.stdout), textOf(child.stderr)];
  // Not at its exit, at which some of what it said may not have been read yet.
  const closed = once(child, "close") as Promise<[number | null]>;
  const ended = closed.then(([code]) => ({ code: code ?? -1, out: out(), err: err(), ...filesIn(folder) }));
  return { child, said: () => out() + err(), ended };
}

export const loadTest = (words: readonly string[]): Promise<Ended> => startLoadTest(words).ended;

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.on("data", (chunk) => (text += String(chunk)));
  return () => text;
}

function filesIn(folder: string): Pick<Ended, "report" | "html"> {
  const read = (extension: string): string | undefined => {
    const file = readdirSync(folder).find((name) => name.endsWith(extension));
    return file === undefined ? undefined : readFileSync(join(folder, file), "utf8");
  };
  const [json, html] = [read(".json"), read(".html")];
  return json === undefined || html === undefined ? {} : { report: JSON.parse(json) as Report, html };
}

/** The example of a plain Socket.IO server, in a process of its own; with a Redis it knows no recovery. */
export async function startPlainServer(...redisUrl: string[]): Promise<{ url: string; pid: number }> {
  const port = await freePort();
  const words = ["bench/servers/plain.ts", `${port}`, ...redisUrl];
  const child = spawn(process.execPath, words, { cwd: repository, stdio: "ignore" });
  const own = ownProcess(child);
  onTestFinished(async () => void (await own.kill()));
  const url = `http://127.0.0.1:${port}`;
  // Any answer will do; a page it has not.
  await eventually(() => fetch(`${url}/socket.io/`));
  return { url, pid: own.pid };
}
