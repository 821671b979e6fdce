import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { connected, startEdge, stockClient, type Edge } from "../support/edge.ts";
import { RawPolling, RawSocket, rawRequest, statusOf, upgradeRequest, type Outcome } from "../support/hostile.ts";

interface HostileRequest {
  name: string;
  attack: (edge: Edge) => Promise<Outcome>;
  expected: object;
}

const handshake = "/socket.io/?EIO=4&transport=polling";

const get =
  (path: string, init?: RequestInit) =>
  async (edge: Edge): Promise<Outcome> => {
    const response = await fetch(edge.url + path, init);
    const body = (await response.json().catch(() => ({}))) as { code?: unknown };
    return { status: response.status, code: body.code };
  };

const upgrade =
  (query: string, headers?: Record<string, string>) =>
  async (edge: Edge): Promise<Outcome> => ({
    status: statusOf(await rawRequest(edge, upgradeRequest(query, headers))),
  });

/** A polling client that has authenticated, and what it does then. */
const polling = (attack: (client: RawPolling, edge: Edge) => Promise<Outcome>) => async (edge: Edge) =>
  attack(await new RawPolling(edge).entered(), edge);

const post = (body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>) =>
  polling(async (client) => ({ status: (await client.post(body, headers)).status }));

/** Posts, and reads by polling what came of it. */
const posted = (body: string) =>
  polling(async (client) => {
    const [outcome] = await Promise.all([client.outcome(), client.post(body).catch(() => undefined)]);
    return outcome;
  });

const packets = (count: number, packet: string): string => Array(count).fill(packet).join("\u001e");
const fault = { closing: "protocol_error" };

const hostileRequests: HostileRequest[] = [
  // Handshakes
  {
    name: "revision 3 of the protocol",
    attack: get("/socket.io/?EIO=3&transport=polling"),
    expected: { status: 400, code: 5 },
  },
  { name: "revision 3 over websocket", attack: upgrade("EIO=3&transport=websocket"), expected: { status: 400 } },
  { name: "no revision", attack: get("/socket.io/?transport=polling"), expected: { status: 400 } },
  { name: "revision 5", attack: get("/socket.io/?EIO=5&transport=polling"), expected: { status: 400 } },
  { name: "no transport", attack: get("/socket.io/?EIO=4"), expected: { status: 400 } },
  { name: "transport __proto__", attack: get("/socket.io/?EIO=4&transport=__proto__"), expected: { status: 400 } },
  {
    name: "transport constructor over websocket",
    attack: upgrade("EIO=4&transport=constructor"),
    expected: { status: 400 },
  },
  {
    name: "transport webtransport",
    attack: get("/socket.io/?EIO=4&transport=webtransport"),
    expected: { status: 400 },
  },
  { name: "polling over an upgrade", attack: upgrade("EIO=4&transport=polling"), expected: { status: 400 } },
  {
    name: "websocket without an upgrade",
    attack: get("/socket.io/?EIO=4&transport=websocket"),
    expected: { status: 400 },
  },
  { name: "an answer as a script", attack: get(`${handshake}&j=0`), expected: { status: 400 } },
  { name: "a handshake by POST", attack: get(handshake, { method: "POST", body: "40" }), expected: { status: 400 } },
  { name: "PUT", attack: get(handshake, { method: "PUT", body: "40" }), expected: { status: 400 } },
  { name: "DELETE", attack: get(handshake, { method: "DELETE" }), expected: { status: 400 } },
  {
    name: "an odd query",
    attack: get("/socket.io/?%00=%ff&__proto__=1&EIO=4&EIO=3&transport=polling"),
    expected: { status: 400 },
  },
  {
    name: "a target that is no address",
    attack: async (edge) => ({
      status: statusOf(
        await rawRequest(edge, "GET /socket.io/%zz?%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      ),
    }),
    expected: { status: 400 },
  },
  { name: "a script that is not the client's", attack: get("/socket.io/other.js"), expected: { status: 400 } },
  { name: "a path out of the client's files", attack: get("/socket.io/../package.json"), expected: { status: 404 } },
  {
    name: "a bad WebSocket key",
    attack: upgrade("EIO=4&transport=websocket", { "Sec-WebSocket-Key": "short" }),
    expected: { status: 400 },
  },
  {
    name: "WebSocket version 7",
    attack: upgrade("EIO=4&transport=websocket", { "Sec-WebSocket-Version": "7" }),
    expected: { status: 400 },
  },
  {
    name: "an upgrade on another path",
    attack: async (edge) => ({
      status: statusOf(await rawRequest(edge, upgradeRequest("").replace("/socket.io/", "/elsewhere"))),
    }),
    expected: { status: 0 },
  },

  // Connection ids
  { name: "a guessed id", attack: get(`${handshake}&sid=AAAAAAAAAAAAAAAAAAAA`), expected: { status: 400, code: 1 } },
  {
    name: "a guessed id over websocket",
    attack: upgrade("EIO=4&transport=websocket&sid=AAAA"),
    expected: { status: 400 },
  },
  { name: "id __proto__", attack: get(`${handshake}&sid=__proto__`), expected: { status: 400, code: 1 } },
  { name: "id constructor", attack: get(`${handshake}&sid=constructor`), expected: { status: 400, code: 1 } },
  { name: "an id of 10 kB", attack: get(`${handshake}&sid=${"A".repeat(10_000)}`), expected: { status: 400, code: 1 } },
  {
    name: "a websocket of somebody else's id by polling",
    attack: async (edge) => {
      const owner = await new RawSocket(edge).entered();
      const { sid } = JSON.parse(owner.received[0]!.slice(1)) as { sid: string };
      return get(`${handshake}&sid=${sid}`)(edge);
    },
    expected: { status: 400, code: 3 },
  },
  {
    name: "the same id, plainly, as websocket",
    attack: async (edge) => {
      const owner = await new RawSocket(edge).entered();
      const { sid } = JSON.parse(owner.received[0]!.slice(1)) as { sid: string };
      return get(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`)(edge);
    },
    expected: { status: 400 },
  },

  // Bodies
  { name: "a body over twice the limit", attack: post("4".repeat(131_073)), expected: { status: 413 } },
  {
    name: "a message one byte over the limit",
    attack: posted(`421["echo",{"text":"${"x".repeat(65_517)}"}]`),
    expected: { acknowledged: "payload_too_large" },
  },
  {
    name: "a compressed body",
    attack: post(new Uint8Array(gzipSync("40")), { "Content-Type": "text/plain", "Content-Encoding": "gzip" }),
    expected: { status: 415 },
  },
  {
    name: "a binary body",
    attack: post(new Uint8Array([52, 48]), { "Content-Type": "application/octet-stream" }),
    expected: { status: 415 },
  },
  {
    name: "a form",
    attack: post("d=40", { "Content-Type": "application/x-www-form-urlencoded" }),
    expected: { status: 415 },
  },
  { name: "JSON for a type", attack: post("40", { "Content-Type": "application/json" }), expected: { status: 415 } },
  { name: "an empty body", attack: posted(""), expected: fault },
  { name: "333000 packets", attack: post(packets(333_000, "3")), expected: { status: 413 } },
  { name: "65000 packets", attack: posted(packets(65_000, "3")), expected: fault },
  { name: "65000 separators", attack: posted("\u001e".repeat(65_000)), expected: fault },
  { name: "257 packets", attack: posted(packets(257, '421["echo",{"text":"x"}]')), expected: fault },
  { name: "an unknown packet among good ones", attack: posted(packets(3, "9")), expected: fault },
  { name: "an attachment in base64", attack: posted("bAAAA"), expected: fault },
  {
    name: "a binary head, then text",
    attack: posted('451-["echo",{"_placeholder":true,"num":0}]\u001e2'),
    expected: fault,
  },
  {
    name: "arrays 2500 deep",
    attack: posted(`421["mirror",{"data":${"[".repeat(2_500)}${"]".repeat(2_500)}}]`),
    expected: { acknowledged: "bad_request" },
  },
  { name: "a client's own ping", attack: posted("2"), expected: fault },

  // Requests that meet
  {
    name: "two polls at once",
    attack: polling(async (client) => {
      const statuses = await Promise.all([client.poll(), client.poll()].map(async (answer) => (await answer).status));
      return { status: Math.max(...statuses) };
    }),
    expected: { status: 400 },
  },
  {
    name: "a POST after the upgrade",
    attack: async (edge) => {
      const client = stockClient(edge.url, { transports: ["polling", "websocket"] });
      await connected(client);
      const { engine } = client.io;
      await expect.poll(() => engine.transport.name).toBe("websocket");
      return get(`${handshake}&sid=${engine.id}`, { method: "POST", body: '42["echo",{"text":"x"}]' })(edge);
    },
    expected: { status: 400, code: 3 },
  },
  {
    name: "an upgrade that says something else first",
    attack: polling(async (client, edge) => {
      const probe = new RawSocket(edge, `EIO=4&transport=websocket&sid=${client.sid}`);
      await probe.until(() => probe.isOpen);
      probe.send('421["echo",{"text":"x"}]');
      await probe.until(() => probe.closeCode !== undefined);
      return { closed: probe.closeCode ?? 0 };
    }),
    expected: { closed: 1005 },
  },
  {
    name: "two upgrades at once",
    attack: polling(async (client, edge) => {
      const query = `EIO=4&transport=websocket&sid=${client.sid}`;
      const [first, second] = [new RawSocket(edge, query), new RawSocket(edge, query)];
      await second.until(() => first.closeCode !== undefined || second.closeCode !== undefined);
      return { closed: first.closeCode ?? second.closeCode ?? 0 };
    }),
    expected: { closed: 1005 },
  },
];

it.each(hostileRequests)("$name: refused by name, and nobody else notices", async ({ attack, expected }) => {
  const edge = await startEdge();
  const bystander = await connected(stockClient(edge.url, { transports: ["websocket"] }));

  const outcome = await attack(edge);

  expect(outcome).toMatchObject(expected);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  expect(await bystander.timeout(20_000).emitWithAck("echo", { text: "still here" })).toEqual({
    ok: true,
    text: "still here",
  });
});
