import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, it, onTestFinished, vi } from "vitest";
import { builtPackages } from "./support.ts";

async function bundle(input: string, external: string[] = []): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, minify: true, rolldownOptions: { input, preserveEntrySignatures: "strict", external } },
  });
  const [{ output }] = [result].flat() as [Rolldown.RolldownOutput];
  return output[0].code;
}

const bytes = (code: string): number => gzipSync(code).length;

it("adds at most 7 kB to socket.io-client in a bundle, and brings no schemas into a browser", async () => {
  // Else Socket.IO's client is bundled with its debug messages.
  vi.stubEnv("NODE_ENV", "production");
  onTestFinished(() => void vi.unstubAllEnvs());
  const folder = await builtPackages();
  const socketIo = join(folder, "socket-io.js");
  writeFileSync(socketIo, 'export { io } from "socket.io-client";');
  const packed = (entry: string) => join(folder, `${entry}.mjs`);

  const [whole, without] = [await bundle(packed("client")), await bundle(socketIo)];
  const alone = await bundle(packed("client"), ["socket.io-client"]);
  const channels = await bundle(packed("channels"), ["socket.io-client"]);

  expect(bytes(whole) - bytes(without)).toBeLessThanOrEqual(7 * 1024);
  expect(bytes(alone)).toBeLessThan(7_600);
  expect(bytes(channels)).toBeLessThan(5_780);
  expect(whole).not.toMatch(/\bzod\b|node:/i);
});
