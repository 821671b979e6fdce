import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { createAuthenticate } from "../../src/http/api-keys.ts";
import { timed } from "../support/promised.ts";
import { apiKey, publishBody, sendRaw, startHttp } from "./support.ts";

const body = JSON.stringify(publishBody);
const fields = `Host: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`;

/** Publishes with exactly these authorization lines; fetch would join or refuse some of them. */
async function statusWith(port: number, lines: string): Promise<number> {
  const answer = await sendRaw(port, `POST /v1/publish HTTP/1.1\r\n${fields}${lines}\r\n${body}`);
  return Number(answer.split(" ")[1]);
}

describe("API keys", () => {
  it.each([
    ["no header", ""],
    ["an empty header", "Authorization: \r\n"],
    ["a scheme alone", "Authorization: Bearer\r\n"],
    ["an empty key", "Authorization: Bearer \r\n"],
    ["another scheme", `Authorization: Basic ${apiKey}\r\n`],
    ["the key without a scheme", `Authorization: ${apiKey}\r\n`],
    ["a wrong key", "Authorization: Bearer wrong\r\n"],
    ["a prefix of the key", `Authorization: Bearer ${apiKey.slice(0, -1)}\r\n`],
    ["a longer key", `Authorization: Bearer ${apiKey}0\r\n`],
    ["a key of another case", `Authorization: Bearer ${apiKey.toUpperCase()}\r\n`],
    ["two keys in one header", `Authorization: Bearer ${apiKey}, Bearer ${apiKey}\r\n`],
    ["two headers", `Authorization: Bearer ${apiKey}\r\nAuthorization: Bearer ${apiKey}\r\n`],
    ["a wrong header after the right one", `Authorization: Bearer ${apiKey}\r\nauthorization: Bearer wrong\r\n`],
    ["the key in another header", `X-Api-Key: ${apiKey}\r\n`],
    ["a key of 15,000 characters", `Authorization: Bearer ${"a".repeat(15_000)}\r\n`],
  ])("are refused: %s", async (_name, lines) => {
    const { http, channels } = await startHttp();

    expect(await statusWith(http.port, lines)).toBe(401);
    expect(channels.requests).toEqual([]);
  });

  it("are accepted with the scheme in any case", async () => {
    const { http } = await startHttp();

    expect(await statusWith(http.port, `Authorization: bearer ${apiKey}\r\n`)).toBe(200);
    expect(await statusWith(http.port, `aUTHORIZATION: BEARER  ${apiKey}\r\n`)).toBe(200);
  });

  it("may be several at a time, so that one can replace another", async () => {
    const apiKeys = [
      { name: "backend", secret: "the old secret" },
      { name: "backend", secret: "the new sécret" },
    ];
    const { http } = await startHttp({ apiKeys });

    expect(await statusWith(http.port, "Authorization: Bearer the old secret\r\n")).toBe(200);
    expect(await statusWith(http.port, `Authorization: Bearer ${latin1("the new sécret")}\r\n`)).toBe(200);
    expect(await statusWith(http.port, `Authorization: Bearer ${apiKey}\r\n`)).toBe(401);
  });

  it("guard every path below /v1, known or not", async () => {
    const { call } = await startHttp();
    const headers = { authorization: "Bearer wrong" };

    for (const path of ["/v1/channels", "/v1/nothing", "/v1/", "/v1/publish"]) {
      const answer = await call(path, { headers });
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(answer.json).toMatchObject({ code: "unauthorized", status: 401 });
    }
  });

  it("are not found by other spellings of the prefix", async () => {
    const { call, http } = await startHttp();

    for (const path of ["/V1/channels", "//v1/channels", "/%76%31/channels", "/docs/../v1x"]) {
      expect((await call(path, { headers: { authorization: "" } })).status).toBe(404);
    }
    const dots = await sendRaw(http.port, "GET /docs/../v1/channels HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(dots).toMatch(/^HTTP\/1.1 404 /);
  });
});

describe("the time a refusal takes", () => {
  it("does not tell how much of a wrong key was right", timed, () => {
    const authenticate = createAuthenticate([{ name: "tests", secret: apiKey }]);
    const guesses = { first: `X${apiKey.slice(1)}`, last: `${apiKey.slice(0, -1)}X` };
    const times = { first: [] as number[], last: [] as number[] };

    for (let round = 0; round < 5_000; round += 1) {
      for (const place of ["first", "last"] as const)
        times[place].push(timeOf(() => authenticate(bearing(guesses[place]))));
    }

    expect(Math.abs(median(times.first) / median(times.last) - 1)).toBeLessThan(0.15);
  });
});

const bearing = (key: string) => ({ rawHeaders: ["Authorization", `Bearer ${key}`] }) as IncomingMessage;

function timeOf(refused: () => unknown): number {
  const begun = process.hrtime.bigint();
  try {
    refused();
  } catch {
    return Number(process.hrtime.bigint() - begun);
  }
  throw new Error("a wrong key was accepted");
}

const median = (samples: number[]): number => samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;

/** UTF-8 bytes as the characters a raw request is written with. */
const latin1 = (text: string): string => Buffer.from(text).toString("latin1");
