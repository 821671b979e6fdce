import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { needs } from "../../scripts/needs.ts";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { expectWhole, underLoad } from "../support/faults.ts";
import { bound } from "../support/flooder.ts";
import { connectClient, openClient, told, type Client, type ClientOptions, refusalOf } from "../support/gateway.ts";
import { findPlace, startNginx, type Nginx } from "../support/nginx.ts";
import { eventually } from "../support/world.ts";

const handshakes = { capacity: 60, refillPerSecond: 1 };

describe.skipIf(!needs.nginx.isInstalled())("three real nodes behind the project's nginx.conf", () => {
  let cluster: Cluster;
  let nginx: Nginx;

  beforeAll(async () => {
    const place = await findPlace();
    cluster = await startCluster({
      addresses: place.addresses,
      env: { TRUSTED_PROXIES: "127.0.0.1" },
      file: { limits: { handshakes } },
    });
    nginx = await startNginx(place);
    process.stdout.write(nginx.isAsItStands ? "" : "nginx.conf runs with other addresses: its own are taken.\n");
  }, 180_000);

  afterAll(async () => {
    await nginx.stop();
    await cluster.stop();
  });

  /** A client through nginx, from an address of loopback that nobody else uses. */
  async function clientFrom(localAddress: string, options: ClientOptions = {}): Promise<Client> {
    const { token } = await cluster.node(0).signIn(`from-${localAddress}`);
    const client = await connectClient(nginx.url, token, { ...options, ...from(localAddress) });
    onTestFinished(() => void client.disconnect());
    return client;
  }

  test("WebSocket clients of one address are spread over the nodes", async () => {
    const clients = await Promise.all(Array.from({ length: 18 }, () => clientFrom("127.0.1.1")));

    expect(new Set(clients.map(({ ready }) => ready["nodeId"])).size).toBeGreaterThan(1);
  });

  test.each([
    ["polling alone", ["polling"]],
    ["polling that becomes a WebSocket", ["polling", "websocket"]],
  ])("%s stays with one node and hears everything", async (_name, transports) => {
    // Polling does not choose its own address, and nginx finds the node by it.
    const client = await clientFrom("127.0.0.1", { transports, upgrade: transports.length > 1 });
    await client.emitWithAck("subscribe", { channel: "lab:polled" });
    if (transports.length > 1) await eventually(() => expect(client.io.engine.transport.name).toBe("websocket"));

    const offsets: number[] = [];
    for (let n = 0; n < 30; n++) offsets.push((await publish({ n })).body.offset);

    await eventually(() => {
      const heard = told(client, "publication").filter(({ channel }) => channel === "lab:polled");
      expect(heard.map(({ offset }) => offset)).toEqual(offsets);
    });
    expect(told(client, "ready")).toHaveLength(1);
  });

  test("nodes count a client by its own address, whatever it says of it", async () => {
    const begun = performance.now();
    const outcomes = await Promise.all(
      Array.from({ length: 120 }, (_, n) => handshake("127.0.1.3", { "x-forwarded-for": `10.0.0.${n}` })),
    );

    const letIn = outcomes.filter((outcome) => outcome !== "status 429").length;
    expect(letIn).toBeLessThanOrEqual(bound(handshakes, performance.now() - begun));
    expect(await handshake("127.0.1.4")).toBe("ready");
  });

  test("a node killed under load costs nothing, and nginx repeats no write that may have been done", async () => {
    const publishing = { isPatient: false };
    const load = { readers: 30, perSecond: 300, publishAt: () => [nginx.url], publishing };
    const outcome = await underLoad({ ...cluster, url: nginx.url }, load, async () => {
      await cluster.node(2).kill();
    });

    expectWhole(outcome);
    await cluster.restart(2);
  });

  const from = (localAddress: string): object => ({ localAddress, agent: undefined, forceNew: true });

  const publish = (data: object) =>
    cluster.node(1).call("POST", "/v1/publish", { channel: "lab:polled", event: "e", data });

  async function handshake(localAddress: string, extraHeaders: Record<string, string> = {}): Promise<string> {
    const { token } = await cluster.node(0).signIn(`hasty-${localAddress}`);
    const client = openClient(nginx.url, token, { ...from(localAddress), extraHeaders });
    const outcome = await new Promise<string>((resolve) => {
      client.once("ready", () => resolve("ready"));
      client.once("connect_error", (error) => resolve(refusalOf(error)));
    });
    client.disconnect();
    return outcome;
  }
});
