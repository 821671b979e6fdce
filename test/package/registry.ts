import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { repository } from "../support/source-tree.ts";

interface Package {
  manifest: { name: string; version: string };
  archive: Buffer;
}

/** A registry of the packages that `pack` has put in a folder; `npmrc` makes a project find them there, as published ones. */
export async function serveRegistry(folder: string) {
  const packages = ["client", "publisher"].map((name) => packageOf(folder, name));
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "").slice(1);
    const found = packages.find(({ manifest }) => path.startsWith(manifest.name));
    if (found === undefined) return void response.writeHead(404).end();
    if (path.endsWith(".tgz")) return void response.end(found.archive);
    answer(found, `${url}/${found.manifest.name}.tgz`, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    npmrc: `@tidegate:registry=${url}/\n`,
    stop: () => server.close().closeAllConnections(),
  };
}

function packageOf(folder: string, name: string): Package {
  return {
    manifest: JSON.parse(readFileSync(join(repository, name, "package.json"), "utf8")) as Package["manifest"],
    archive: readFileSync(join(folder, `tidegate-${name}.tgz`)),
  };
}

function answer({ manifest, archive }: Package, tarball: string, response: ServerResponse): void {
  const { name, version } = manifest;
  const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  const versions = { [version]: { ...manifest, dist: { tarball, integrity } } };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
}
