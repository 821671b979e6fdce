import { Agent, request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectClient, told, type Client, type ClientOptions, refusalOf } from "../support/gateway.ts";
import { startWorkers, type WorkersProcess } from "../support/workers.ts";
import { eventually } from "../support/world.ts";

let gateway: WorkersProcess;
let token: string;

beforeAll(async () => {
  gateway = await startWorkers({
    env: { TRUSTED_PROXIES: "127.0.0.1" },
    file: {
      channels: { chat: { subscribe: "public", publish: "public" } },
      limits: {
        handshakes: { capacity: 100, refillPerSecond: 0.1 },
        messages: { capacity: 1_000, refillPerSecond: 1_000 },
        connectionsPerUser: 1_000,
      },
    },
  });
  token = (await gateway.signIn("alice")).token;
}, 60_000);
afterAll(() => gateway.kill());

describe("two workers behind one port", () => {
  test.each<[string, ClientOptions, string]>([
    ["begin with polling and upgrade, as they do by default", { transports: ["polling", "websocket"] }, "websocket"],
    ["stay with polling", { transports: ["polling"] }, "polling"],
    ["begin with WebSocket", { transports: ["websocket"] }, "websocket"],
  ])("serve clients that %s", async (how, options, transport) => {
    const channel = `chat:${transport}-${how.length}`;
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectClient(gateway.url, token, options)));
    await Promise.all(clients.map((client) => subscribe(client, channel)));
    await eventually(() => {
      for (const { io } of clients) expect(io.engine.transport.name).toBe(transport);
    });

    const offsets = await publish(channel, 5);

    await eventually(() => expect(clients.map(offsetsOf)).toEqual(clients.map(() => offsets)));
    expect(new Set(clients.map(({ ready }) => ready["nodeId"]))).toEqual(new Set(["lab-1", "lab-2"]));
    clients.forEach((client) => client.disconnect());
  });

  test("take an upgrade while publications flow, in order and without a gap", async () => {
    const channel = "chat:flow";
    let isFlowing = true;
    const flow = (async () => {
      for (let all: number[] = []; ; all = [...all, ...(await publish(channel, 1))]) if (!isFlowing) return all;
    })();

    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const client = await connectClient(gateway.url, token, { transports: ["polling", "websocket"] });
        return { client, since: await subscribe(client, channel) };
      }),
    );
    await eventually(() => {
      for (const { client } of clients) expect(client.io.engine.transport.name).toBe("websocket");
    });
    isFlowing = false;
    const offsets = await flow;

    await eventually(() => {
      for (const { client, since } of clients)
        expect(offsetsOf(client)).toEqual(offsets.filter((offset) => offset > since.offset));
    });
    clients.forEach(({ client }) => client.disconnect());
  });

  test("serve sessions of both that share one connection, as two tabs of a browser do", async () => {
    const [first, second] = await eventually(async () => {
      const sids = await Promise.all(Array.from({ length: 8 }, () => handshake(new Agent())));
      const sidOf = (worker: number) => sids.find((sid) => sid.startsWith(`${worker}.`));
      const both = [sidOf(1), sidOf(2)];
      expect(both).not.toContain(undefined);
      return both as [string, string];
    });
    const shared = new Agent({ keepAlive: true, maxSockets: 1 });

    const answers = [];
    for (const sid of [first, second, first, second]) {
      answers.push(await say(shared, sid, "POST", answers.length < 2 ? `40${JSON.stringify({ token })}` : "3"));
    }
    const packets = [await say(shared, first), await say(shared, second)];
    shared.destroy();

    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(Array(4).fill("200 ok"));
    expect(packets.map(({ body }) => body.slice(0, 2))).toEqual(["40", "40"]);
  });

  test.each(["1.forged", "2.forged", "3.forged", "0.x", "forged"])("know no session %s", async (sid) => {
    const { status, body } = await say(new Agent(), sid);

    expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({ status: 400, code: 1 });
  });

  test("count a client's connections by its own address, whatever its transport and its worker", async () => {
    const from = (address: string) => ({ transports: ["polling"], extraHeaders: { "X-Forwarded-For": address } });
    const tries = await Promise.allSettled(
      Array.from({ length: 130 }, () => connectClient(gateway.url, token, from("203.0.113.7"))),
    );
    const elsewhere = await connectClient(gateway.url, token, from("203.0.113.8"));

    const refusals = tries.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    expect(refusals.length).toBeGreaterThan(0);
    expect(new Set(refusals.map(({ reason }) => refusalOf(reason as Error)))).toEqual(new Set(["status 429"]));
    for (const result of tries) if (result.status === "fulfilled") result.value.disconnect();
    elsewhere.disconnect();
  });

  test("answer for each other where they are watched", async () => {
    const [metrics, { body }] = await eventually(async () => {
      const answers = await Promise.all([scrape(), gateway.readiness()]);
      // One that does not answer within a second is left out.
      const nodes = answers[0].matchAll(/^process_resident_memory_bytes\{node_id="([^"]+)"/gm);
      expect(new Set([...nodes].map(([, node]) => node))).toEqual(new Set(["lab-1", "lab-2", "lab-primary"]));
      expect(answers[1].status).toBe(200);
      return answers;
    });

    expect(metrics).toContain('gateway_workers_running{node_id="lab-primary"} 2');
    const types = [...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(types).toHaveLength(new Set(types).size);
    expect(body).toMatchObject({ checks: { workers: { status: "ok" } } });
  });
});

const scrape = async (): Promise<string> => (await fetch(`${gateway.url}/metrics`)).text();

const offsetsOf = (client: Client): number[] => told(client, "publication").map(({ offset }) => offset as number);

async function subscribe(client: Client, channel: string): Promise<{ offset: number }> {
  const answer = (await client.emitWithAck("subscribe", { channel })) as { ok: boolean; offset: number };
  expect(answer).toMatchObject({ ok: true });
  return answer;
}

async function publish(channel: string, count: number): Promise<number[]> {
  const offsets = [];
  for (let i = 0; i < count; i++) {
    const { body } = await gateway.call("POST", "/v1/publish", { channel, event: "message", data: { i } });
    offsets.push(body.offset as number);
  }
  return offsets;
}

/** The id of a session that was begun by polling. */
async function handshake(agent: Agent): Promise<string> {
  const { body } = await say(agent);
  return (JSON.parse(body.slice(1)) as { sid: string }).sid;
}

function say(agent: Agent, sid?: string, method = "GET", body = ""): Promise<{ status: number; body: string }> {
  const path = `/socket.io/?EIO=4&transport=polling${sid === undefined ? "" : `&sid=${sid}`}`;
  return new Promise((resolve, reject) => {
    const outgoing = request(gateway.url + path, { agent, method }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject).end(body);
  });
}
