import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { mountDocs } from "../../src/http/docs-page.ts";
import { errorCatalogue } from "../../src/protocol/errors.ts";
import { publishBody, sendRaw, startHttp } from "./support.ts";

interface Operation {
  operationId: string;
  parameters?: { in: string; name: string; required?: boolean; schema: object }[];
  requestBody?: { required: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, object>;
  security?: object[];
}

interface Api {
  openapi: string;
  info: { title: string; version: string };
  security: object[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; responses: Record<string, object>; securitySchemes: object };
}

async function describedApi() {
  const world = await startHttp();
  const answer = await world.call("/openapi.json", { headers: { authorization: "" } });
  return { ...world, answer, api: answer.json as Api };
}

const operationsOf = ({ paths }: Api) =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );

describe("/openapi.json", () => {
  it("describes every mounted route, with its body, its answer and its refusals", async () => {
    const { api, routes } = await describedApi();

    for (const { path, method, operationId, params, query, body, status = 200, refusals = [] } of routes) {
      const operation = api.paths[path]?.[method];
      expect(operation).toMatchObject({ operationId });
      const named = (operation?.parameters ?? []).filter((one) => one.in !== "header").map((one) => one.name);
      expect(named).toEqual([...Object.keys(params?.shape ?? {}), ...Object.keys(query?.shape ?? {})]);
      expect(operation?.requestBody === undefined).toBe(body === undefined);
      const statuses = ["bad_request", "unauthorized", "rate_limited", "internal", "unavailable", ...refusals] as const;
      expect(Object.keys(operation?.responses ?? {})).toEqual(
        expect.arrayContaining([`${status}`, ...statuses.map((code) => `${errorCatalogue[code].status}`)]),
      );
    }
  });

  it("is OpenAPI 3.1 in itself: references lead somewhere, names are unique, path parameters are declared", async () => {
    const { api, answer } = await describedApi();
    const operations = operationsOf(api);

    expect(api).toMatchObject({ openapi: "3.1.1", info: { title: "Tidegate", version: "1.2.3" } });
    for (const [, pointer = ""] of answer.text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      expect(at(api, pointer.split("/"))).toBeTypeOf("object");
    }
    const names = operations.map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { path, operation } of operations) {
      const declared = (operation.parameters ?? []).filter((one) => one.in === "path");
      expect(declared.every((one) => one.required)).toBe(true);
      expect(declared.map((one) => `{${one.name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });

  it("asks for a key everywhere but at the operators' calls", async () => {
    const { api } = await describedApi();

    expect(api.security).toEqual([{ apiKey: [] }]);
    expect(api.components.securitySchemes).toMatchObject({ apiKey: { type: "http", scheme: "bearer" } });
    const open = operationsOf(api).filter(({ operation }) => operation.security?.length === 0);
    expect(open.map(({ path }) => path)).toEqual(["/healthz", "/readyz"]);
  });

  it("explains every code a problem may have", async () => {
    const { api } = await describedApi();

    expect(Object.keys(api.components.responses)).toEqual([
      ...Object.keys(errorCatalogue),
      "bad_request_408",
      "bad_request_417",
      "bad_request_431",
    ]);
  });

  it("names, for each call, what may be answered before it is reached", async () => {
    const { api } = await describedApi();

    for (const { path, operation } of operationsOf(api))
      expect([path, ...Object.keys(operation.responses)]).toEqual(expect.arrayContaining([path, "408", "417", "431"]));
    expect(JSON.stringify(api.components.responses["bad_request_431"])).toContain("larger than 16 KiB");
  });

  it("has schemas that accept what the API accepts and answers, and nothing else", async () => {
    const { api, call } = await describedApi();
    const schemaOf = (name: string) => z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs: JSON.parse(inDefs(api)) });

    const published = await call("/v1/publish", { body: publishBody });
    const refused = await call("/v1/publish", { body: { ...publishBody, event: 1 } });

    expect(schemaOf("Publish").safeParse(publishBody).success).toBe(true);
    expect(schemaOf("Publish").safeParse({ ...publishBody, event: 1 }).success).toBe(false);
    expect(schemaOf("Published").safeParse(published.json).success).toBe(true);
    expect(schemaOf("Problem").safeParse(refused.json).success).toBe(true);
  });
});

const at = (place: object, steps: string[]): unknown =>
  steps.reduce<unknown>((found, step) => (found as Record<string, unknown>)[step], place);

/** The description's schemas where JSON Schema keeps them. */
const inDefs = (api: Api): string =>
  JSON.stringify(api.components.schemas).replaceAll("#/components/schemas/", "#/$defs/");

it("describes the API and the events at the first request, and once", async () => {
  const openapi = vi.fn<() => object>(() => ({ openapi: "3.1.1" }));
  const asyncapi = vi.fn<() => object>(() => ({ asyncapi: "3.0.0" }));
  const app = express();
  mountDocs(app, { openapi, asyncapi });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const get = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)).json();
  expect(openapi).not.toHaveBeenCalled();

  expect([await get("/openapi.json"), await get("/openapi.json")]).toEqual([
    { openapi: "3.1.1" },
    { openapi: "3.1.1" },
  ]);

  expect(openapi).toHaveBeenCalledTimes(1);
  expect(asyncapi).not.toHaveBeenCalled();
});

describe("/docs", () => {
  const files = [
    "/docs",
    "/docs/page.css",
    "/docs/guide.css",
    "/docs/page.js",
    "/docs/search.js",
    "/docs/elements.js",
    "/docs/events.js",
    "/docs/schemas.js",
    "/docs/try-it.js",
  ];

  it("is a page of our own that loads nothing from elsewhere and needs no inline script or style", async () => {
    const { call } = await startHttp();

    for (const path of files) {
      const { status, text, headers } = await call(path, { headers: { authorization: "" } });
      expect(status).toBe(200);
      expect(text).not.toMatch(/https?:\/\/|\/\/\w+\.|@import/);
      expect(text).not.toMatch(/<script>|<style|style="|\son\w+="|innerHTML|eval\(/);
      expect(headers.get("content-security-policy")).toContain("default-src 'self'");
    }
  });

  it("names only files that are served", async () => {
    const { call } = await startHttp();
    const texts = await Promise.all(files.map(async (path) => (await call(path)).text));

    const named = texts.join("\n").matchAll(/(?:href|src|from)[=\s]+"([^"#]+)"/g);

    for (const [, name = ""] of named) {
      if (name.startsWith("data:")) continue;
      expect((await call(new URL(name, "http://x/docs/page").pathname)).status).toBe(200);
    }
  });

  it("is answered 304 where the browser has it", async () => {
    const { http, call } = await startHttp();
    const etag = (await call("/docs")).headers.get("etag");

    const again = await sendRaw(
      http.port,
      `GET /docs HTTP/1.1\r\nHost: x\r\nIf-None-Match: ${etag}\r\nConnection: close\r\n\r\n`,
    );

    expect(again).toMatch(/^HTTP\/1.1 304 /);
  });
});
