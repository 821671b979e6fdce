import { expect, it } from "vitest";
import { eventually } from "../support/world.ts";
import { apiKey, publishBody, sendRaw, startHttp } from "./support.ts";

const parsed = (lines: string[]) => lines.map((line) => JSON.parse(line) as Record<string, unknown>);

it("writes and refusals are logged at debug, successful reads not at all", async () => {
  const { call, lines } = await startHttp();

  await call("/v1/publish", { body: publishBody });
  await call("/v1/channels");
  await call("/v1/publish", { body: {} });

  await eventually(() => expect(lines).toHaveLength(2));
  expect(parsed(lines)).toMatchObject([
    { level: "debug", method: "POST", route: "/v1/publish", caller: "tests", status: 200, ms: expect.any(Number) },
    { level: "debug", method: "POST", route: "/v1/publish", caller: "tests", status: 400, code: "bad_request" },
  ]);
});

it("log lines contain nothing that the client wrote", async () => {
  const { http, call, lines } = await startHttp();
  const forged = '{"level":"fatal","msg":"forged"}';
  const nasty = `${encodeURIComponent(`\r\n${forged}\r\n\u001b[2J\u2028`)}%0a${"A".repeat(2_000)}`;

  await call(`/v1/channels/${nasty}/history?token=hunter2`, {
    headers: { "user-agent": `forged ${forged} \u00a0`, "idempotency-key": forged, "x-token": "hunter2" },
  });
  await call(`/${nasty}`, { method: "DELETE" });
  await call("/v1/publish", { body: `{"channel":"a\\nb","token":"hunter2","forged":${forged}}` });
  await sendRaw(http.port, `POST /v1/x HTTP/1.1\r\nHost: forged\r\nX: ${forged}\r\nConnection: close\r\n\r\n`);

  await eventually(() => expect(lines).toHaveLength(5));
  const [warning] = lines.splice(
    lines.findIndex((line) => line.includes('"warn"')),
    1,
  );
  expect(JSON.parse(warning ?? "")).toMatchObject({ msg: "refused an API key", address: "127.0.0.1" });
  for (const line of lines) {
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(JSON.parse(line)).toMatchObject({ level: "debug", msg: "HTTP request refused" });
    for (const word of ["forged", "hunter2", "AAAA", apiKey, "\r", "\u001b", "\u2028"])
      expect(line).not.toContain(word);
  }
});
