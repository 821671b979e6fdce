import { expect, test } from "vitest";
import { pause } from "../support/faults.ts";
import { openClient, startGateway } from "../support/gateway.ts";

test.each([0, 5, 10, 20, 30, 50])(
  "a node that drains leaves nobody behind who was being let in at that moment (%i ms after they knocked)",
  async (delayMs) => {
    const { gateway, url, signIn } = await startGateway({ env: { DRAIN_TIMEOUT_MS: "10000" } });
    const tokens = await Promise.all(Array.from({ length: 30 }, (_, n) => signIn(`user-${n}`)));
    const clients = tokens.map(({ token }) => openClient(url, token));
    const ends = clients.map(
      (client) =>
        new Promise((resolve) => {
          client.once("disconnect", () => resolve("sent away"));
          client.once("connect_error", () => resolve("refused"));
        }),
    );
    await pause(delayMs);

    // Somebody left behind would be waited for until the deadline.
    expect(await gateway.drain()).toBe(true);

    for (const end of await Promise.all(ends)) expect(end).toMatch(/sent away|refused/);
  },
);
