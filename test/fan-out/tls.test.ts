import { createServer } from "node:https";
import { expect, it } from "vitest";
import { selfSigned } from "../support/certificate.ts";
import { once, stockClient } from "../support/edge.ts";
import { settled } from "../support/fake-clock.ts";
import { range, startAudience, type Audience } from "./audience.ts";

async function startTls(options: { outboundQueueBytes?: number } = {}): Promise<Audience & { url: string }> {
  const httpServer = createServer(selfSigned());
  const audience = await startAudience({ httpServer, ...options });
  return { ...audience, url: audience.edge.url.replace("http:", "https:") };
}

/** A stock client over TLS and the offsets it has read. */
async function connect(url: string, transports: ["websocket"] | ["polling"]) {
  const client = stockClient(url, { transports, rejectUnauthorized: false });
  const read: number[] = [];
  client.on("publication", ({ offset }: { offset: number }) => read.push(offset));
  await once(client, "ready");
  return { client, read };
}

it.each([["websocket"], ["polling"]] as const)("over TLS and %s nothing is lost or reordered", async (transport) => {
  const { url, publish, connections } = await startTls();
  const { client, read } = await connect(url, [transport] as ["websocket"]);
  const said = once(client, "between");

  for (let number = 0; number < 300; number += 10) {
    publish(range(number + 1, number + 10), { bytes: 100 });
    if (number % 50 === 0) await settled();
  }
  connections()[0]?.emit("between", {});
  await said;

  expect(read).toEqual(range(1, 300));
});

it("over TLS a reader that stops is closed by name", async () => {
  const { url, edge, publish } = await startTls({ outboundQueueBytes: 1_048_576 });
  const { client } = await connect(url, ["websocket"]);
  const { read } = await connect(url, ["websocket"]);
  const { ws } = client.io.engine.transport as unknown as { ws: { pause(): void } };
  ws.pause();

  let number = 0;
  while (edge.sockets.connections.count === 2 && number < 20_000) {
    publish([(number += 1)], { bytes: 32_768 });
    await settled();
  }

  await expect.poll(() => read.length).toBe(number);
  expect(edge.sockets.connections.count).toBe(1);
  const { values } = await edge.metrics.closings.get();
  expect(values).toMatchObject([{ labels: { code: "slow_consumer" }, value: 1 }]);
});
