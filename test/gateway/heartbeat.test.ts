import { expect, test } from "vitest";
import { startGateway } from "../support/gateway.ts";

test("how often clients are pinged, and how long they may take, is a setting", async () => {
  const heartbeat = { pingIntervalMs: 100, pingTimeoutMs: 200 };
  const { url } = await startGateway({ file: { heartbeat } });

  const greeting = await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text();

  expect(JSON.parse(greeting.slice(1))).toMatchObject({ pingInterval: 100, pingTimeout: 200 });
});
