import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished, test } from "vitest";
import { chromiumPath, needs } from "../../scripts/needs.ts";
import { startGateway } from "../support/gateway.ts";
import { startPostgresProcess } from "../support/postgres-process.ts";
import { redisWorld } from "../support/world.ts";
import { openConsole, openView, operators, rowsOf } from "./console-page.ts";
import { buildDemo, launch, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();

test.skipIf(executablePath === undefined)(
  "the console shows what waits and where settings come from: commands by consumer, webhooks, the outbox, a user's presence",
  async () => {
    await buildDemo();
    const browser = await launch(executablePath ?? "");
    onTestFinished(() => browser.close());
    const receiver = createServer((_request, response) => response.writeHead(500).end()).listen(0, "127.0.0.1");
    onTestFinished(() => void receiver.close());
    await once(receiver, "listening");
    const to = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const outbox = await startOutbox();
    const node = await startGateway({
      file: {
        channels: { room: { subscribe: "public", presence: true } },
        commands: { firstPauseMs: 60_000 },
        webhooks: [{ url: `${to}/hooks`, secret: "a-secret", events: ["order.status"], firstPauseMs: 60_000 }],
      },
      env: { NODE_ID: "n1", OPERATORS: operators, DRAIN_TIMEOUT_MS: "1234", ...outbox?.env },
    });
    const client = await node.connect((await node.signIn("alice")).token);
    await client.emitWithAck("subscribe", { channel: "room:1" });
    await client.emitWithAck("presence:set", { channel: "room:1", data: { typing: true } });
    await node.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice" } });
    const { redis } = await redisWorld();
    const command = '{"type":"order.event","orderId":"none","status":"confirmed"}';
    await redis.connection("commands").xadd(`${node.prefix}:commands`, "*", "command", command);
    const page = await openConsole(browser, node.url, "admin");

    await openView(page, "Queues");
    const sum = (name: string) => page.locator(".sums > div", { hasText: name });
    await sum("Commands in progress")
      .getByText(/^n1.*: 1$/)
      .waitFor();
    await rowsOf(page, `Next to ${to}`)
      .getByText(/^order:o-1$/)
      .waitFor();
    await page.getByText("1 in 1 queues").waitFor();
    if (outbox !== undefined) {
      await sum("Dead in the outbox").getByText("1").waitFor();
      await page.getByLabel("of", { exact: true }).selectOption("outbox");
      await page.getByRole("button", { name: "Filter" }).click();
      await rowsOf(page, "Dead letters").getByText(outbox.deadType).first().waitFor();
    }

    await openView(page, "User");
    await page.getByRole("textbox", { name: "User" }).fill("alice");
    await page.keyboard.press("Enter");
    await rowsOf(page, "Presence").getByText('{"typing":true}').waitFor();

    await openView(page, "Settings");
    for (const [name, source] of Object.entries({
      drainTimeoutMs: "DRAIN_TIMEOUT_MS",
      "channels.room.presence": "file",
      "limits.http.requests": "default",
    })) {
      const row = rowsOf(page, "Effective settings").filter({ hasText: name });
      await row.getByText(source, { exact: true }).waitFor();
    }

    // A node is fenced only for moments.
    await page.route("**/v1/operator/overview", async (route) => {
      const response = await route.fetch();
      const json = (await response.json()) as { nodes: object[] };
      const reason = "the node may have missed a revocation";
      await route.fulfill({
        response,
        json: { ...json, nodes: json.nodes.map((each) => ({ ...each, state: "fenced", reason })) },
      });
    });
    await openView(page, "Overview");
    await rowsOf(page, "Nodes").getByText("fenced").waitFor();
    await rowsOf(page, "Nodes").getByText("the node may have missed a revocation").waitFor();
    await page.unrouteAll({ behavior: "wait" });
  },
  2 * startMs,
);

/** An outbox with a command that nobody knows. Undefined if Postgres is not installed. */
async function startOutbox() {
  if (!needs.postgres.isInstalled()) return undefined;
  const postgres = await startPostgresProcess();
  onTestFinished(() => postgres.stop());
  const { url, query } = await postgres.createOutbox();
  const deadType = "order.paint";
  await query("INSERT INTO tidegate_outbox (command) VALUES ($1)", [JSON.stringify({ type: deadType })]);
  return { env: { OUTBOX_URL: url }, deadType };
}
