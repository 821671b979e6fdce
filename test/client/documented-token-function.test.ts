import { readFileSync } from "node:fs";
import { compileFunction } from "node:vm";
import { expect, it } from "vitest";
import { apiKey, startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { client } from "./support.ts";

interface Login {
  id: string;
  userId: string;
  sessionId?: string;
}

/** The block of docs/client.md, as it stands there. */
function documented(url: string): (login: Login) => Promise<string> {
  const blocks = readFileSync("docs/client.md", "utf8").split("```");
  const code = blocks.find((block) => block.includes("async function realtimeToken"))?.replace(/^\w+\n/, "") ?? "";
  const define = compileFunction(`${code}; return realtimeToken;`, ["gateway", "apiKey"]) as (
    gateway: string,
    apiKey: string,
  ) => (login: Login) => Promise<string>;
  return define(url, apiKey);
}

it("the documented token endpoint outlives its tokens and leaves one session behind", async () => {
  const { url, call } = await startGateway({ file: { tokens: { tokenTtlSeconds: 2 } } });
  const realtimeToken = documented(url);
  const login: Login = { id: "login-1", userId: "ada" };
  const given: string[] = [];
  const token = async (): Promise<string> => {
    given.push(await realtimeToken(login));
    return given.at(-1) as string;
  };
  const [ada, tab] = [client(url, { token }), client(url, { token })];
  const closed: unknown[] = [];
  ada.on("closed", (error) => closed.push(error.code));
  await Promise.all([ada, tab].map((one) => one.channel("user:ada").subscribe()));

  await eventually(() => expect(given.length).toBeGreaterThan(6));

  await eventually(() => expect([ada.state, tab.state]).toEqual(["connected", "connected"]));
  expect(closed).toEqual([]);
  const { sessions } = (await call("GET", "/v1/users/ada/sessions")).body as { sessions: unknown[] };
  expect(sessions).toHaveLength(1);
});

it("a client whose tokens could not be refreshed in time is closed, comes back with a fresh one and misses nothing", async () => {
  const { url, call } = await startGateway({ file: { tokens: { tokenTtlSeconds: 2 } } });
  const realtimeToken = documented(url);
  const login: Login = { id: "login-2", userId: "ada" };
  let isAway = false;
  const token = () => (isAway ? Promise.reject(new Error("502")) : realtimeToken(login));
  const ada = client(url, { token });
  const closings: unknown[] = [];
  const seen: unknown[] = [];
  ada.on("closing", ({ code, reconnect }) => isAway && closings.push([code, reconnect]));
  const own = ada.channel("user:ada");
  own.on("publication", ({ data }) => seen.push(data));
  await own.subscribe();

  isAway = true;
  await eventually(() => expect(closings).toEqual([["token_expired", true]]));
  await call("POST", "/v1/publish", { channel: "user:ada", event: "said", data: 1 });
  isAway = false;

  await eventually(() => expect(seen).toEqual([1]));
  await eventually(() => expect(ada.state).toBe("connected"));
});
