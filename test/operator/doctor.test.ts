import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { describe, diagnose } from "../../src/cli/doctor.ts";
import { edgeChecks } from "../../src/cli/doctor-edge.ts";
import { examineMachine } from "../../src/cli/doctor-machine.ts";
import { selfSigned } from "../support/certificate.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { serveBelow } from "../support/serve-below.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const operator = "operator-secret-of-at-least-thirty-two-bytes";

/** The address of a server that answers so. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a deployment that works passes every check, and nothing of the round trip stays", async () => {
  const origin = "https://app.example";
  const env = { NODE_ID: "n1", OPERATORS: `ada:${operator}:viewer`, ALLOWED_ORIGINS: origin, DURABILITY: "external" };
  const { url, call } = await startGateway({ env });

  const diagnoses = await diagnose({}, { url, key: apiKey, operator, origin });

  // Other tests use the same Redis, and this machine may allow little.
  const mayWarn = new Set(["keyspace", "open files", "TCP backlog", "conntrack"]);
  const wrong = diagnoses.filter(({ check, result }) => result !== "ok" && !mayWarn.has(check));
  expect(wrong).toEqual([]);
  expect(diagnoses.map(({ check }) => check)).toContain("round trip");
  await eventually(async () => expect((await call("GET", "/v1/channels")).body.channels).toEqual([]));
});

test("the round trip goes through every node that the proxy chooses, and names how many it did not", async () => {
  const prefix = freshPrefix();
  const [n1, n2] = await Promise.all(["n1", "n2"].map((NODE_ID) => startGateway({ prefix, env: { NODE_ID } })));
  const ports = [n1, n2].map((node) => ({ port: Number(new URL(node?.url ?? "").port) }));
  const proxy = await startTcpProxy({ targets: () => ports });
  onTestFinished(() => proxy.stop());
  const roundTrip = async (url: string) =>
    (await diagnose({}, { url, key: apiKey })).find(({ check }) => check === "round trip");

  await eventually(async () => {
    const through = await roundTrip(`http://127.0.0.1:${proxy.port}`);
    expect(through).toMatchObject({ result: "ok", detail: expect.stringMatching(/n1 in/) });
    expect(through?.detail).toMatch(/n2 in \d+ ms/);
  });
  expect(await roundTrip(n1?.url ?? "")).toMatchObject({
    result: "warning",
    detail: expect.stringMatching(/^n1 in \d+ ms; the proxy chose no other of 2 nodes$/),
    mend: expect.stringContaining("--url of each node"),
  });
});

test("pages of any origin, a refused page, and addresses that clients choose are told", async () => {
  const open = await startGateway({ env: { TRUSTED_PROXIES: "127.0.0.1" } });
  const report = describe(await diagnose({}, { url: open.url, key: apiKey }));
  expect(report).toMatch(/! origin: pages of any origin may connect\n {4}→ set ALLOWED_ORIGINS/);
  expect(report).toMatch(/! X-Forwarded-For: clients may choose .*\n {4}→ let the proxy set X-Forwarded-For/);
  expect(report).toContain("– eviction policy: needs --operator");

  const strict = await startGateway({ env: { ALLOWED_ORIGINS: "https://app.example" } });
  const refused = describe(await diagnose({}, { url: strict.url, key: apiKey, origin: "https://shop.example" }));
  expect(refused).toContain("✗ origin: pages of https://shop.example are refused\n    → add it to ALLOWED_ORIGINS");
});

test("a certificate that ends soon is told, and where there is none", async () => {
  const server = createSecureServer(selfSigned());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const tlsOf = (url: string) =>
    edgeChecks["TLS"]?.({
      url,
      key: "",
      origin: "",
      overview: undefined,
      operatorGet: () => Promise.reject(new Error("not asked")),
    });

  expect(await tlsOf(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)).toMatchObject({
    result: "warning",
    detail: expect.stringMatching(/^the certificate ends in \d days$/),
  });
  expect(await tlsOf("http://gateway.example")).toMatchObject({ detail: "tokens travel in clear text" });
  expect(await tlsOf("http://localhost:3000")).toEqual({ result: "ok", detail: "none, on loopback" });
});

test("a machine that allows few files, backlogs or tracked connections is told", () => {
  const machine = (files: Record<string, string>) =>
    describe(
      examineMachine((path) => {
        const text = files[path.split("/").at(-1) ?? ""];
        if (text === undefined) throw new Error("no such file");
        return text;
      }),
    );

  const small = {
    limits: "Max open files            1024                 4096                 files\n",
    somaxconn: "128\n",
    nf_conntrack_count: "250000\n",
    nf_conntrack_max: "262144\n",
  };
  expect(machine(small)).toMatch(/! open files: 1024 .*\n.*\n! TCP backlog: 128 .*\n.*\n! conntrack: 250000 of 262144/);
  expect(machine({ ...small, somaxconn: "4096\n", nf_conntrack_count: "10\n" })).toMatch(
    /✓ TCP backlog: 4096 .*\n✓ conntrack: 10 of 262144/,
  );
  expect(machine({})).toBe(
    "– open files: not known on this system\n– TCP backlog: not known on this system\n✓ conntrack: this machine tracks no connections",
  );
});

test("a deployment below a path of its proxy passes too", async () => {
  const { url } = await startGateway();
  const proxied = await serveBelow("/realtime", url);

  const diagnoses = await diagnose({}, { url: `${proxied}/realtime`, key: apiKey });

  expect(diagnoses.filter(({ result }) => result === "failed")).toEqual([]);
});

test("a proxy that forwards no upgrade and spreads requests is told what to change", async () => {
  const url = await serve((request, response) => {
    const isHandshake = request.url?.endsWith("transport=polling") === true;
    response.writeHead(isHandshake ? 200 : 400).end(isHandshake ? '0{"sid":"s1"}' : '{"code":1}');
  });

  const report = describe(await diagnose({}, { url, key: apiKey }));

  expect(report).toMatch(/✗ polling and stickiness: request 2 .*\n {4}→ hash by sid or address/);
  expect(report).toMatch(/✗ WebSocket upgrade: .*\n {4}→ proxy_http_version 1\.1/);
  expect(report).toMatch(/– nodes and versions: needs --operator/);
});

test("while nodes refuse because of Redis, every check says so, and none blames the proxy or the key", async () => {
  const url = await serve((request, response) => {
    if (request.url === "/healthz") return response.end();
    const detail = "Redis refuses writes: it is out of memory.";
    const body = { status: "unavailable", checks: { redis: { note: detail } }, code: "writes_refused", detail };
    response.writeHead(503, { "content-type": "application/json" }).end(JSON.stringify(body));
  });

  const diagnoses = await diagnose({}, { url, key: apiKey, operator });

  const refused = diagnoses.filter(({ detail }) => detail.includes("it is out of memory"));
  expect(refused.map(({ check }) => check)).toEqual(
    expect.arrayContaining([
      "Redis and readiness",
      "polling and stickiness",
      "WebSocket upgrade",
      "nodes and versions",
    ]),
  );
  const blamed = diagnoses.filter(({ result, mend }) => result === "failed" && mend?.endsWith("#redis") !== true);
  expect(blamed).toEqual([]);
});

test("a node behind the proxy that does not answer is told as such", async () => {
  const url = await serve(() => undefined);
  const deployment = { url, key: "", origin: "", overview: undefined, operatorGet: () => Promise.reject(new Error()) };

  const silence = { message: "no answer within 5 s", mend: expect.stringContaining("frozen or overloaded") };
  const ask = async (check: string) => edgeChecks[check]?.(deployment);
  await Promise.all(
    ["polling and stickiness", "WebSocket upgrade"].map((check) => expect(ask(check)).rejects.toMatchObject(silence)),
  );
});

test("an address where nothing answers, and a wrong key, are told as such", async () => {
  const nowhere = describe(await diagnose({}, { url: "http://127.0.0.1:1", key: apiKey }));
  expect(nowhere).toMatch(/✗ node answers: http:\/\/127\.0\.0\.1:1: fetch failed.*\n {4}→ check --url/);
  expect(nowhere.match(/✗/g)).toHaveLength(1);
  expect(nowhere).toContain("– round trip: needs a node that answers");

  const { url } = await startGateway();
  const wrongKey = describe(await diagnose({}, { url, key: "wrong" }));
  expect(wrongKey).toContain("✗ round trip: The API key is invalid.\n    → check --key and --operator");
});
