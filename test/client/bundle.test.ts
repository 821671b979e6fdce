import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, it } from "vitest";

async function bundle(external: string[]): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: true,
      rolldownOptions: { input: "src/client/client.ts", preserveEntrySignatures: "strict", external },
    },
  });
  const [{ output }] = [result].flat() as [Rolldown.RolldownOutput];
  return output[0].code;
}

it("is small, and brings no schemas into a browser", async () => {
  const alone = await bundle(["socket.io-client"]);
  const whole = await bundle([]);

  expect(gzipSync(alone).length).toBeLessThan(9_850);
  expect(gzipSync(whole).length).toBeLessThan(25_000);
  expect(whole).not.toMatch(/\bzod\b|node:/i);
});
