import { expect, test } from "vitest";
import { backend, startGateway } from "../support/gateway.ts";
import { despiteStalls } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { callsOf, isDescribed, resolved, type Call, type Json } from "./description.ts";

const operator = "operator-secret-of-at-least-thirty-two-bytes";
const seed = Number(process.env["SEED"] ?? 1);
const random = seeded(seed);
const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const happens = (chance: number): boolean => random() < chance;

const names = ["ada", "bob", "o-1", "o-2", "daily", "a/b", "50%", "é", "\u{1f98a}", "a:b", "*", "__proto__", "\u202e"];
const channels = ["chat:a", "board:1", "user:ada", "orders:ada", "order:o-1", "order:o-9", "rank:daily:ada"].concat([
  "leaderboard:daily",
  "leaderboard:none",
  "rank:daily",
  "none:1",
  "chat:*",
  ":",
  "chat",
]);
const words: Record<string, readonly string[]> = {
  status: ["created", "confirmed", "delivered", "none"],
  season: ["2026-03-09", "2026-W11", "x"],
  name: ["sms", "place", "none"],
  board: ["daily", "weekly", "none"],
};
const texts = ["", "\0", "a\nb", "x".repeat(257), "\u{1f98a}".repeat(200), "x".repeat(5_000)];
const values = [null, true, 0, -1, 1.5, 2 ** 53, 1e300, "", "5", "x", [], {}, [[]], [null], { a: { b: [1] } }, ["x"]];

/** A value that fits the schema, as far as the description tells. */
function valueOf(api: Json, given: Json, name: string): unknown {
  const schema = resolved(api, given);
  const { type, minimum = 0, maximum = 100 } = schema;
  const variants: Json[] | undefined = schema["anyOf"] ?? schema["oneOf"];
  if (variants !== undefined) return valueOf(api, oneOf(variants), name);
  if (schema["const"] !== undefined) return schema["const"];
  if (schema["enum"] !== undefined) return oneOf<unknown>(schema["enum"]);
  if (type === "string") return oneOf(name.startsWith("channel") ? channels : (words[name] ?? names));
  if (type === "integer") return oneOf([minimum, minimum + 1, Math.min(maximum, minimum + 60), maximum]);
  if (type === "number") return oneOf([0, -0, 7, 1e300, 5e-324, 2 ** 53]);
  if (type === "boolean") return happens(0.5);
  if (type === "array") return Array.from({ length: oneOf([1, 2]) }, () => valueOf(api, schema["items"], name));
  if (type === "object") return objectOf(api, schema);
  return oneOf(values);
}

function objectOf(api: Json, { properties = {}, required = [], additionalProperties }: Json): Json {
  const fields = Object.entries<Json>(properties).filter(([name]) => required.includes(name) || happens(0.3));
  const more = typeof additionalProperties === "object" && happens(0.5) ? [["courier", additionalProperties]] : [];
  return Object.fromEntries([...fields, ...more].map(([name, schema]) => [name, valueOf(api, schema, name)]));
}

/** One part of it is wrong, missing, or too much. */
function spoiled(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0)
    return oneOf([...values, ...texts]);
  const copy: Json = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
  const name = oneOf(Object.keys(copy));
  if (happens(0.2)) return { ...copy, extra: 1 };
  if (happens(0.2)) delete copy[name];
  else copy[name] = happens(0.4) ? spoiled(copy[name]) : oneOf([...values, ...texts]);
  return copy;
}

function requestOf(api: Json, { path, operation }: Call) {
  let target = path;
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  for (const { in: place, name, schema, required } of (operation["parameters"] ?? []) as Json[]) {
    if (place === "header" && happens(0.2)) headers[name] = oneOf(["k-1", "k-2", '"x"', "*"]);
    const value = String(happens(0.1) ? oneOf(texts) : valueOf(api, schema, name));
    if (place === "path") target = target.replace(`{${name}}`, () => encodeURIComponent(value === "" ? "\0" : value));
    else if (place === "query" && (required || happens(0.4))) query.append(name, value);
  }
  if (path.endsWith("/poll")) query.set("waitMs", "0");
  const schema = operation["requestBody"]?.content["application/json"].schema as Json | undefined;
  const fitting = schema && valueOf(api, schema, "");
  const body = schema && happens(0.4) ? spoiled(fitting) : fitting;
  if (path.endsWith("/request") && typeof body === "object") Object.assign(body!, { timeoutMs: 50 });
  return { target: query.size === 0 ? target : `${target}?${query.toString()}`, headers, body };
}

// A stream has no end, a drained node answers nothing more, and wrong secrets keep the right one out.
const isAsked = ({ path }: Call): boolean => !/\/stream$|\/drain$|operator\/session$/.test(path);

test("whatever is asked of any route is answered as it is described, and never by an error of the gateway", async () => {
  const gateway = await startGateway({
    file: {
      channels: { chat: { subscribe: "public", presence: true }, board: { subscribe: "public", state: true } },
      leaderboards: { daily: { season: "daily" }, weekly: { season: "weekly" } },
      limits: { custom: { sms: { requests: 3, windowSeconds: 60 } } },
    },
    env: { OPERATORS: `ada:${operator}:admin` },
  });
  const { body: api } = await gateway.call("GET", "/openapi.json");
  const calls = callsOf(api).filter(isAsked);

  async function ask(): Promise<void> {
    const call = oneOf(calls);
    const { target, headers, body } = requestOf(api, call);
    const key = call.path.startsWith("/v1/operator") ? [operator] : [];
    const answer = await despiteStalls(
      () => backend(gateway.url, ...key).call(call.method, target, body, headers),
      ({ status }) => status === 503,
    );
    const told = { seed, call: `${call.method} ${target}`, body, status: answer.status, answer: answer.body };
    expect({ ...told, isDescribed: isDescribed(api, call, answer) }).toEqual({ ...told, isDescribed: true });
    expect({ ...told, isOurs: answer.status >= 500 }).toEqual({ ...told, isOurs: false });
  }

  await gateway.signIn("ada", { info: { name: "Ada" }, idleSeconds: 600 });
  const many = Number(process.env["REQUESTS"] ?? 1_000);
  for (let asked = 0; asked < many; asked += 10) await Promise.all(Array.from({ length: 10 }, ask));
});
