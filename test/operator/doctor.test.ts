import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { describe, diagnose } from "../../src/cli/doctor.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { serveBelow } from "../support/serve-below.ts";
import { eventually } from "../support/world.ts";

const operator = "operator-secret-of-at-least-thirty-two-bytes";

test("a deployment that works passes every check, and nothing of the round trip stays", async () => {
  const { url, call } = await startGateway({ env: { NODE_ID: "n1", OPERATORS: `ada:${operator}:viewer` } });

  const diagnoses = await diagnose({}, { url, key: apiKey, operator });

  // The tests' Redis keeps no append-only file, and this machine may allow few open files.
  const mayWarn = new Set(["Redis and readiness", "open files"]);
  const wrong = diagnoses.filter(({ check, result }) => result !== "ok" && !mayWarn.has(check));
  expect(wrong).toEqual([]);
  expect(diagnoses.map(({ check }) => check)).toContain("round trip");
  await eventually(async () => expect((await call("GET", "/v1/channels")).body.channels).toEqual([]));
});

test("a deployment below a path of its proxy passes too", async () => {
  const { url } = await startGateway();
  const proxied = await serveBelow("/realtime", url);

  const diagnoses = await diagnose({}, { url: `${proxied}/realtime`, key: apiKey });

  expect(diagnoses.filter(({ result }) => result === "failed")).toEqual([]);
});

test("a proxy that forwards no upgrade and spreads requests is told what to change", async () => {
  const server = createServer((request, response) => {
    const isHandshake = request.url?.endsWith("transport=polling") === true;
    response.writeHead(isHandshake ? 200 : 400).end(isHandshake ? '0{"sid":"s1"}' : '{"code":1}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const report = describe(await diagnose({}, { url, key: apiKey }));

  expect(report).toMatch(/✗ polling and stickiness: request 2 .*\n {4}→ hash by sid or address/);
  expect(report).toMatch(/✗ WebSocket upgrade: .*\n {4}→ proxy_http_version 1\.1/);
  expect(report).toMatch(/– nodes and versions: needs --operator/);
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
