import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ownProcess } from "../support/child.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

/** The command and the output that a page shows. */
function shownIn(page: string): { address: string; output: string } {
  const text = readFileSync(join(repository, page), "utf8");
  const [, address, output] = /\$ curl -N .* "localhost:3000(\S+)"\n(.*?)\n```/s.exec(text) as unknown as string[];
  return { address: address as string, output: output as string };
}

/** Without what differs each time. */
const withoutValues = (output: string): string =>
  output
    .replaceAll(/"nodeId":"[^"]+"/g, '"nodeId":"NODE"')
    .replaceAll(/\d{13}/g, "TIME")
    .replaceAll(/[0-9a-f]{12}/g, "EPOCH")
    .replaceAll(/^id: ;[\w-]{8}~/gm, "id: ;START~")
    .replace(/^retry: \d+/, "retry: MS")
    .trim();

test("curl prints what the README and the guide show", async () => {
  const gateway = await startGateway({ file: { channels: { news: { subscribe: "public" } } } });
  const publish = () =>
    gateway.call("POST", "/v1/publish", { channel: "news:today", event: "headline", data: { text: "Hello" } });
  const { address, output } = shownIn("README.md");
  await publish();

  const curl = spawn("curl", ["-sN", "-H", `Authorization: Bearer ${apiKey}`, `${gateway.url}${address}`]);
  const own = ownProcess(curl);
  onTestFinished(async () => void (await own.kill()));
  let printed = "";
  curl.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  await eventually(() => expect(printed).toContain("event: subscribed"));
  await publish();

  await eventually(() => expect(withoutValues(printed)).toBe(withoutValues(output)));
  expect(shownIn("docs/streams.md")).toEqual({ address, output });
});
