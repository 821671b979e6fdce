import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { openClient, told, type Client } from "../../support/gateway.ts";
import { inStep } from "../../support/failover.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { subscribe } from "../../support/node-clients.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

const readies = (client: Client) => told(client, "ready").length;

describe("a stock client whose last subscription Redis forgot after acknowledging it", () => {
  const cluster = useCluster({ nodes: 2 });

  /** On the first node, and on the second once that cannot be reached; Redis will be back without `lab:late`. */
  async function subscribedTooLate() {
    await inStep(cluster());
    const line = await startTcpProxy({ targets: () => cluster().nodes.slice(0, 1) });
    onTestFinished(() => line.stop());
    const { token } = await cluster().node(1).signIn("ada");
    const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
    const client = openClient(`http://127.0.0.1:${line.port}`, token, options);
    await eventually(() => expect(readies(client)).toBe(1));
    for (const channel of ["lab:early", "lab:late"]) await publish(channel);
    await subscribe(client, "lab:early");
    const redis = await cluster().store.primary();
    await redis.ask("SAVE");
    await subscribe(client, "lab:late");
    return { client, redis };
  }

  async function publish(channel: string): Promise<void> {
    const publication = { channel, event: "lab", data: 1, idempotencyKey: randomUUID() };
    await eventually(async () => {
      expect((await cluster().node(1).call("POST", "/v1/publish", publication)).status).toBe(200);
    });
  }

  const comeBackTo = (client: Client, url: string): void => {
    Object.assign(client.io, { uri: url });
    client.io.engine?.close();
  };

  /** A node that is busy may come too late to say what it knows: then the client is told so, and this is done again. */
  async function recoveredClient(tries = 5): Promise<Client> {
    const { client, redis } = await subscribedTooLate();
    await redis.kill();
    comeBackTo(client, cluster().node(1).url);
    await redis.restart();
    await eventually(() => expect(readies(client)).toBe(2), 60_000);
    return client.recovered || tries === 1 ? client : recoveredClient(tries - 1);
  }

  test("has it again if its node lives on to say so, however soon it goes elsewhere", async () => {
    const client = await recoveredClient();
    expect(client.recovered).toBe(true);

    await publish("lab:late");

    await eventually(() => expect(told(client, "publication")).toMatchObject([{ channel: "lab:late" }]));
  });

  test("is not told that it was recovered if its node died as well", async () => {
    const { client, redis } = await subscribedTooLate();
    await Promise.all([redis.kill(), cluster().node(0).kill()]);
    comeBackTo(client, cluster().node(1).url);
    await redis.restart();

    await eventually(() => expect(readies(client)).toBe(2), 60_000);

    expect(client.recovered).toBe(false);
    await cluster().restart(0);
  });
});
