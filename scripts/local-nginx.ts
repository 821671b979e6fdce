import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { serverEnvironment } from "./needs.ts";

export interface LocalNginxOptions {
  /** Port of loopback. */
  port: number;
  /** `host:port` of each node; three of them. */
  nodes: readonly string[];
  /** Where its configuration, its logs and its process id go. */
  folder: string;
}

/** Runs the project's own nginx.conf with other addresses, and resolves when it listens. */
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

/** Nothing but places: what the file says of stickiness, repeats and time-outs stays as it is. */
export function localConf(conf: string, { port, nodes, folder }: LocalNginxOptions): string {
  return conf
    .replace("listen 8080", `listen 127.0.0.1:${port}`)
    .replaceAll(/\bnode-([1-3]):3000\b/g, (_, number: string) => nodes[Number(number) - 1] ?? "")
    .replace("/var/log/nginx/access.log", join(folder, "access.log"))
    .replace("http {", `http {\n${bodyFolders(folder)}`);
}

/** The folders that Debian compiled in belong to root. */
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
