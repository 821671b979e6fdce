import { describe, expect, onTestFinished, test } from "vitest";
import { lasting, pause, untilLeasesEnd } from "../../support/faults.ts";
import { connectClient, openClient, told, type Client, type ClientOptions } from "../../support/gateway.ts";
import { subscribe } from "../../support/node-clients.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

/** As stock clients come back, a little sooner. */
const options = { reconnection: true, reconnectionDelay: 200, reconnectionDelayMax: 1_000 };
const many = 12;

interface Outage {
  begin(): void;
  /** Harmless when repeated. */
  end(): Promise<void> | void;
}

describe("stock clients that come while Redis is away", () => {
  const cluster = useCluster({ nodes: 2, store: { isDurable: true } });

  async function signIn(user: string): Promise<string> {
    return (await cluster().node(0).signIn(user)).token;
  }

  /** Every second one over polling, on every second node in turn. */
  const placeOf = (number: number): [string, ClientOptions] => [
    cluster().node(number % 2).url,
    { ...options, transports: [number % 4 < 2 ? "websocket" : "polling"] },
  ];

  const newcomer = (token: string, number: number): Client => {
    const [url, place] = placeOf(number);
    return openClient(url, token, place);
  };

  async function reader(number: number): Promise<Client> {
    const [url, place] = placeOf(number);
    const client = await connectClient(url, await signIn(`reader-${number}`), place);
    await subscribe(client, `lab:${number}`);
    return client;
  }

  async function comeInDuring(outage: Outage): Promise<{ readers: Client[]; newcomers: Client[] }> {
    const numbers = Array.from({ length: many }, (_, number) => number);
    const readers = await Promise.all(numbers.map(reader));
    const tokens = await Promise.all(numbers.map((number) => signIn(`newcomer-${number}`)));
    const come = (from: number, to: number): Client[] => {
      for (const client of readers.slice(from, to)) client.io.engine.close();
      return numbers.slice(from, to).map((number) => newcomer(tokens[number]!, number));
    };
    onTestFinished(() => outage.end());
    outage.begin();
    const early = come(0, many / 2);
    // From then on the nodes know that it is away; until then each handshake finds out by itself.
    await untilLeasesEnd(cluster());
    const late = come(many / 2, many);
    await pause(lasting(10_000, 2_000));
    await outage.end();
    return { readers, newcomers: [...early, ...late] };
  }

  async function expectAllBack({ readers, newcomers }: { readers: Client[]; newcomers: Client[] }): Promise<void> {
    const all = [...readers, ...newcomers];
    await eventually(() => expect(all.filter(({ connected }) => connected)).toHaveLength(all.length), 60_000);
    await eventually(() => expect(readers.map((client) => told(client, "ready").length)).toEqual(readers.map(() => 2)));
    expect(readers.map(({ recovered }) => recovered)).toEqual(readers.map(() => true));
  }

  test("killed: all come in by themselves, and who was there before is recovered", async () => {
    const redis = await cluster().store.primary();
    let killed: Promise<unknown> | undefined;
    const begin = (): void => void (killed = redis.kill());
    async function end(): Promise<void> {
      const isAway = killed !== undefined;
      await killed;
      killed = undefined;
      if (isAway) await redis.restart();
    }

    await expectAllBack(await comeInDuring({ begin, end }));
  });

  test("hanging: all come in by themselves, and who was there before is recovered", async () => {
    const redis = await cluster().store.primary();

    await expectAllBack(await comeInDuring({ begin: () => redis.freeze(), end: () => redis.thaw() }));
  });
});
