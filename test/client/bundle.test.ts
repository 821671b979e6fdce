import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, it } from "vitest";

async function bundle(entry: string, external: string[]): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: true,
      rolldownOptions: { input: `src/client/${entry}.ts`, preserveEntrySignatures: "strict", external },
    },
  });
  const [{ output }] = [result].flat() as [Rolldown.RolldownOutput];
  return output[0].code;
}

it("is small, and brings no schemas into a browser", async () => {
  const alone = await bundle("client", ["socket.io-client"]);
  const channels = await bundle("channels-only", ["socket.io-client"]);
  const whole = await bundle("client", []);

  expect(gzipSync(alone).length).toBeLessThan(8_100);
  expect(gzipSync(channels).length).toBeLessThan(6_200);
  expect(gzipSync(whole).length).toBeLessThan(23_400);
  expect(whole).not.toMatch(/\bzod\b|node:/i);
});
