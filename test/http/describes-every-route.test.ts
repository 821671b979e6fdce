import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import SwaggerParser from "@apidevtools/swagger-parser";
import { Validator } from "@seriousme/openapi-schema-validator";
import { generate } from "openapi-typescript-codegen";
import { describe, expect, onTestFinished, test } from "vitest";
import { repository } from "../support/source-tree.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { callsOf, fits, isDescribed, resolved, type Call, type Json } from "./description.ts";

const file = {
  channels: { chat: { subscribe: "public", publish: "public", presence: true } },
  leaderboards: { "*": {} },
};

async function described(): Promise<{ gateway: TestGateway; api: Json; calls: Call[] }> {
  const gateway = await startGateway({ file, env: { METRICS_PORT: "0" } });
  const { body: api } = await gateway.call("GET", "/openapi.json");
  return { gateway, api, calls: callsOf(api) };
}

describe("the description of every route", () => {
  test("is valid by two validators, of which one follows every reference", async () => {
    const { api } = await described();

    expect(await new Validator().validate(structuredClone(api))).toMatchObject({ valid: true });
    await expect(SwaggerParser.validate(structuredClone(api) as never)).resolves.toBeTypeOf("object");
  });

  test("makes a client that compiles", { timeout: 300_000 }, async () => {
    const { api } = await described();
    const folder = mkdtempSync(join(tmpdir(), "tidegate-generated-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));

    await generate({ input: structuredClone(api), output: folder, httpClient: "fetch" });

    const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--ignoreConfig", "--lib", "es2022,dom,dom.iterable"];
    const moduleKind = ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"];
    const client = join(folder, "index.ts");
    const complaints = await promisify(execFile)(process.execPath, [tsc, ...options, ...moduleKind, client]).then(
      () => "",
      (error: { stdout: string }) => error.stdout,
    );
    expect(complaints).toBe("");
  });

  test("has an example of every body, which fits", async () => {
    const { api, calls } = await described();

    for (const { operation } of calls) {
      const bodies = [operation["requestBody"], ...Object.values(operation["responses"])].filter(Boolean);
      for (const part of bodies.map((body) => resolved(api, body as Json))) {
        for (const { schema, example } of Object.values<Json>(part["content"] ?? {})) {
          expect({ schema, example, fits: fits(api, schema, example) }).toMatchObject({ fits: true });
        }
      }
    }
  });

  test("is drawn on the page without a type that nobody knows", async () => {
    const { api, calls } = await described();
    const page = new URL("../../src/http/docs/schemas.js", import.meta.url).href;
    const { fieldsOf, typeOf } = (await import(page)) as Record<string, (...args: unknown[]) => any>;

    for (const { operation } of calls) {
      const schemas = [operation["requestBody"], operation["responses"]["200"]].flatMap((part) =>
        Object.values<Json>(part?.content ?? {}).map(({ schema }) => schema as object),
      );
      const types = schemas.flatMap((schema) => [typeOf!(api, schema), ...fieldsOf!(api, schema).map(typeOfField)]);
      expect(types.join("\n")).not.toMatch(/any\[\]/);
    }
  });
});

const typeOfField = ({ type }: { type: string }): string => type;

describe("every status that is answered is described, and its body fits", () => {
  const tooMuch = { data: "x".repeat(1_100_000) };
  const key = { "idempotency-key": "k-1" };

  /** What may go right and wrong with any call. */
  const attempts: [string, (example: unknown) => { body?: unknown; headers?: Record<string, string> }][] = [
    ["as in the example", (body) => ({ body, headers: key })],
    ["as in the example, again", (body) => ({ body, headers: key })],
    ["with the key of another", (body) => ({ body: { ...(body as object), event: "another" }, headers: key })],
    ["without a key", (body) => ({ body, headers: { authorization: "" } })],
    ["with nothing in it", () => ({ body: {} })],
    ["with too much in it", () => ({ body: tooMuch })],
    ["as a form", (body) => ({ body, headers: { "content-type": "application/x-www-form-urlencoded" } })],
  ];

  test("whatever is right or wrong with a call", async () => {
    const { gateway, api, calls } = await described();

    for (const [how, attempt] of attempts) {
      for (const one of calls) {
        const { path, method, operation } = one;
        const example = operation["requestBody"]?.content["application/json"].example as unknown;
        const { headers, body } = attempt(example);
        const content = example === undefined ? undefined : body;
        const answer = await gateway.call(method, withExamples(path, operation), content, headers);
        const call = { how, path, method, status: answer.status };
        expect({ ...call, fits: isDescribed(api, one, answer) }).toEqual({ ...call, fits: true });
      }
    }
  });

  test("an event that comes too early is held, an order made of other content is a conflict, a method is the wrong one", async () => {
    const { gateway, api } = await described();
    const order = { orderId: "o-1", parties: { customer: "ada" } };
    const statuses = [
      await gateway.call("POST", "/v1/orders", order),
      await gateway.call("POST", "/v1/orders", { ...order, parties: { customer: "bob" } }),
      await gateway.call("POST", "/v1/orders/o-1/events", { status: "confirmed", sequence: 3 }),
      await gateway.call("POST", "/v1/sessions/none/token"),
      await gateway.call("DELETE", "/v1/orders"),
    ].map(({ status, body }) => [status, body.code]);

    expect(statuses).toEqual([
      [201, undefined],
      [409, "conflict"],
      [202, undefined],
      [404, "not_found"],
      [405, "method_not_allowed"],
    ]);
    expect(Object.keys(api["paths"]["/v1/orders"].post.responses)).toContain("409");
    expect(Object.keys(api["paths"]["/v1/orders/{orderId}/events"].post.responses)).toContain("202");
    expect(Object.keys(api["paths"]["/v1/sessions/{sessionId}/token"].post.responses)).toContain("404");
    expect(Object.keys(api["components"].responses)).toContain("method_not_allowed");
  });
});

/** A path with its parameters filled in. */
function withExamples(path: string, { parameters = [] }: Json): string {
  const inPath = (parameters as Json[]).filter((parameter) => parameter["in"] === "path");
  return inPath.reduce(
    (filled, { name, schema }) => filled.replace(`{${name}}`, encodeURIComponent(schema.examples?.[0] ?? "x-1")),
    path,
  );
}
