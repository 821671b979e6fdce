import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/source-tree.ts";

interface Manifest {
  version: string;
  license: string;
  keywords: string[];
  engines: { node: string };
  dependencies: Record<string, string>;
}

const manifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(repository, folder, "package.json"), "utf8")) as Manifest;

const [server, client, publisher] = [manifest("."), manifest("client"), manifest("publisher")];

test("the three packages have one version and license, and can be found", () => {
  for (const { version, license, keywords } of [client, publisher]) {
    expect(version).toBe(server.version);
    expect(license).toBe(server.license);
    expect(keywords).toContain("socket.io");
  }
});

test("the libraries depend on nothing of the server, and run where the server does not", () => {
  expect(Object.keys(client.dependencies)).toEqual(["socket.io-client"]);
  expect(Object.keys(publisher.dependencies)).toEqual(["zod"]);
  for (const { engines } of [client, publisher]) expect(engines.node).toMatch(/^>=18\b/);
});
