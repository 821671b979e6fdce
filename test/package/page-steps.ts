import { execFile, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ownProcess } from "../support/child.ts";
import { repository } from "../support/source-tree.ts";

/** A file to save, commands to run, or a program to leave running. */
interface Step {
  file?: string;
  text: string;
}

/** A program that a page says to leave running. */
export interface Running {
  output(): string;
  /** Ctrl+C in its terminal; resolves with its exit code. */
  interrupt(): Promise<number | null>;
  again(): Running;
}

/** Somebody who does what a chapter of a page says, in a folder of their own. */
export interface Reader {
  /** Saves files and runs commands until something is to be left running, which is started. */
  untilRunning(): Promise<Running>;
  /** Runs the next commands. */
  runNext(): Promise<string>;
  stop(): Promise<void>;
}

interface Place {
  folder: string;
  env: NodeJS.ProcessEnv;
  /** Ports of the page → ports of this machine. */
  ports: Readonly<Record<string, number>>;
}

const run = promisify(execFile);
const isLeftRunning = ({ file, text }: Step): boolean =>
  file === undefined && /^([A-Z_]+=\S+ )*(node|redis-server|node_modules\/.bin\/tidegate start)\b.*\n$/.test(text);

/** The chapter begins with this heading. */
export function follow(page: string, heading: string, { folder, env, ports }: Place): Reader {
  const steps = stepsOf(page, heading);
  const here = (text: string): string => text.replaceAll(/\b\d{4}\b/g, (port) => String(ports[port] ?? port));
  const started: Running[] = [];
  let cwd = folder;

  async function perform({ file, text }: Step): Promise<string> {
    if (file !== undefined) {
      writeFileSync(join(cwd, file), here(text));
      return "";
    }
    const { stdout } = await run("sh", ["-euc", `${here(text)}\necho\npwd`], { cwd, env });
    cwd = stdout.trimEnd().split("\n").at(-1) ?? cwd;
    return stdout;
  }

  return {
    async untilRunning() {
      for (;;) {
        const step = nextOf(steps);
        if (isLeftRunning(step)) return startInTerminal(here(step.text), { cwd, env, started });
        await perform(step);
      }
    },
    runNext: () => perform(nextOf(steps)),
    async stop() {
      await Promise.all(started.map((running) => running.interrupt()));
    },
  };
}

function nextOf(steps: Step[]): Step {
  const step = steps.shift();
  if (step === undefined) throw new Error("the chapter has no further step");
  return step;
}

function stepsOf(page: string, heading: string): Step[] {
  const text = readFileSync(join(repository, page), "utf8");
  const chapter = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const blocks = chapter.matchAll(/(?:^`([\w./-]+)`\n\n)?^```\w+\n(.*?)^```$/gms);
  return [...blocks].map(([, file, body = ""]) => ({ ...(file !== undefined && { file }), text: body }));
}

interface Terminal {
  cwd: string;
  env: NodeJS.ProcessEnv;
  started: Running[];
}

/** A process group of its own, so that Ctrl+C reaches all of it. */
function startInTerminal(line: string, terminal: Terminal): Running {
  const { cwd, env, started } = terminal;
  const settings = "if [ -f .env ]; then set -a; . ./.env; set +a; fi";
  const child = spawn("sh", ["-euc", `${settings}\nexec env ${line}`], { cwd, env, detached: true });
  const own = ownProcess(child);
  const orphaned = (): void => void process.kill(-own.pid, "SIGKILL");
  process.once("exit", orphaned);
  void own.ended.then(() => process.off("exit", orphaned));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const running: Running = {
    output: () => output,
    async interrupt() {
      if (own.isRunning()) process.kill(-own.pid, "SIGINT");
      return (await own.ended).code;
    },
    again: () => startInTerminal(line, terminal),
  };
  started.push(running);
  return running;
}
