import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { serverEnvironment } from "./needs.ts";

export interface LocalNginxOptions {
  /** Port on the loopback interface. */
  port: number;
  /** `host:port` of each node; three of them. */
  nodes: readonly string[];
  /** Folder of its configuration, logs and pid file. */
  folder: string;
  /** How long a node may say nothing, in nginx's words. @default as in the file */
  readTimeout?: string;
}

/** Runs the project's nginx.conf with local addresses; resolves when it listens. */
export async function startLocalNginx(options: LocalNginxOptions): Promise<ChildProcess> {
  const file = join(options.folder, "nginx.conf");
  writeFileSync(file, localConf(readFileSync(new URL("../nginx.conf", import.meta.url), "utf8"), options));
  const globals = `daemon off; pid ${join(options.folder, "nginx.pid")};`;
  const child = spawn("nginx", ["-c", file, "-e", join(options.folder, "error.log"), "-g", globals], {
    stdio: ["ignore", "ignore", "inherit"],
    env: serverEnvironment(),
    detached: true,
  });
  await listens(child, options.port);
  return child;
}

/** Replaces addresses and paths, and on request one timeout; stickiness and retries stay as in the file. */
export function localConf(conf: string, { port, nodes, folder, readTimeout = "15s" }: LocalNginxOptions): string {
  return conf
    .replace("proxy_read_timeout 15s", `proxy_read_timeout ${readTimeout}`)
    .replace("listen 8080", `listen 127.0.0.1:${port}`)
    .replaceAll(/\bnode-([1-3]):3000\b/g, (_, number: string) => nodes[Number(number) - 1] ?? "")
    .replace("/var/log/nginx/access.log", join(folder, "access.log"))
    .replace("http {", `http {\n${bodyFolders(folder)}`);
}

/** The folders compiled into Debian's nginx belong to root. */
const bodyFolders = (folder: string): string =>
  ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${join(folder, kind)};`)
    .join("\n");

async function listens(child: ChildProcess, port: number): Promise<void> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`nginx ended with ${String(code)}`);
  });
  const opened = isOpen(port);
  await Promise.race([ended, opened]);
  ended.catch(() => undefined);
}

async function isOpen(port: number): Promise<void> {
  for (let tries = 0; tries < 250; tries++) {
    const socket = connect(port, "127.0.0.1");
    const isConnected = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isConnected) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nginx does not listen on ${port}`);
}
