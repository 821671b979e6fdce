import { expect, test } from "vitest";
import { startGateway } from "../support/gateway.ts";

test("how often clients are pinged, and how long they may take, is a setting", async () => {
  const heartbeat = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };
  const { url } = await startGateway({ file: { heartbeat } });

  const greeting = await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text();

  expect(JSON.parse(greeting.slice(1))).toMatchObject({ pingInterval: 10_000, pingTimeout: 5_000 });
});
