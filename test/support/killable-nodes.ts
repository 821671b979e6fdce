import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const script = fileURLToPath(new URL("./publishing-process.ts", import.meta.url));
const apiKey = "test-key-of-at-least-thirty-two-bytes";

interface KillableNode {
  name: string;
  url: string;
  process: ChildProcess;
}

/** Publishing nodes in processes of their own; a killed one is replaced by a fresh one of the same name. */
export interface KillableNodes {
  /** Kills without warning, and resolves when the next of that name is there. */
  kill(name: string): Promise<void>;
  readonly names: readonly string[];
  /** Posts to any node, again until one answers: what a node was doing when it died is repeated, as upstreams do. */
  post(path: string, body: object, random: () => number): Promise<{ status: number; code: string | undefined }>;
}

export async function startKillableNodes(
  url: string,
  prefix: string,
  names: readonly string[],
): Promise<KillableNodes> {
  const nodes = await Promise.all(names.map((name) => start(url, prefix, name)));

  async function post(path: string, body: object, random: () => number) {
    for (;;) {
      const node = nodes[Math.floor(random() * nodes.length)] as KillableNode;
      const response = await call(node.url, path, body).catch(() => undefined);
      if (response !== undefined && response.status < 500) return response;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  return {
    names,
    post,
    async kill(name) {
      const index = nodes.findIndex((node) => node.name === name);
      nodes[index]?.process.kill("SIGKILL");
      nodes[index] = await start(url, prefix, name);
    },
  };
}

function start(url: string, prefix: string, name: string): Promise<KillableNode> {
  const child = spawn(process.execPath, [script, url, prefix, name, apiKey], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    child.stdout.once("data", (line: Buffer) => resolve({ name, url: line.toString().trim(), process: child }));
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
  });
}

async function call(url: string, path: string, body: object) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const { code } = (await response.json()) as { code?: string };
  return { status: response.status, code };
}
