import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalNginx } from "../../scripts/local-nginx.ts";
import { serverEnvironment } from "../../scripts/needs.ts";
import { ownProcess } from "./child.ts";
import { accepts, claim, freePort } from "./redis-server.ts";
import { repository } from "./source-tree.ts";

/** Debian's nginx with the project's nginx.conf. */
export interface Nginx {
  readonly url: string;
  /** False where another place had to be found for it: then names and ports in the file are replaced. */
  readonly isAsItStands: boolean;
  stop(): Promise<unknown>;
}

/** Where nodes listen that the very nginx.conf is to find. */
export interface Place {
  addresses: readonly { host: string; port: number }[];
  isAsItStands: boolean;
}

const nodeNames = ["node-1", "node-2", "node-3"];
const ownHosts = nodeNames.map((_, index) => `127.0.0.${index + 2}`);

/** The places nginx.conf names, where root may rename hosts for one process and nobody has them or is about to; else free ones. */
export async function findPlace(): Promise<Place> {
  const wanted = ownHosts.map((host) => ({ host, port: 3_000 }));
  const canRename = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
  const free = await Promise.all([...wanted, { host: "0.0.0.0", port: 8_080 }].map(isFree));
  if (canRename && free.every(Boolean) && claim(8_080)) return { addresses: wanted, isAsItStands: true };
  const addresses = await Promise.all(nodeNames.map(async () => ({ host: "127.0.0.1", port: await freePort() })));
  return { addresses, isAsItStands: false };
}

export async function startNginx({ addresses, isAsItStands }: Place): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
  // nginx drops its rights when root starts it, and still has to write here.
  chmodSync(folder, 0o777);
  const port = isAsItStands ? 8_080 : await freePort();
  const child = isAsItStands
    ? spawnAsItStands(folder)
    : await startLocalNginx({
        port,
        nodes: addresses.map(({ host, port: nodePort }) => `${host}:${nodePort}`),
        folder,
      });
  const own = ownProcess(child);
  await accepts(port, child);
  return {
    url: `http://127.0.0.1:${port}`,
    isAsItStands,
    async stop() {
      await own.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** In a mount namespace of its own, in which /etc/hosts knows the nodes by the names of the compose file. */
function spawnAsItStands(folder: string) {
  const hosts = join(folder, "hosts");
  writeFileSync(hosts, `127.0.0.1 localhost\n${ownHosts.map((host, n) => `${host} ${nodeNames[n]}\n`).join("")}`);
  const run = 'mount --bind "$0" /etc/hosts && exec nginx -c "$1" -e "$2" -g "$3"';
  const globals = `daemon off; pid ${join(folder, "nginx.pid")};`;
  const words = [hosts, join(repository, "nginx.conf"), join(folder, "error.log"), globals];
  return spawn("unshare", ["-m", "sh", "-c", run, ...words], {
    stdio: ["ignore", "ignore", "inherit"],
    env: serverEnvironment(),
  });
}

function isFree({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once("error", () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}
