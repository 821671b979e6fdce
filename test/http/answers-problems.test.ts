import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorCatalogue, GatewayError, type ErrorCode } from "../../src/protocol/errors.ts";
import { problem } from "../../src/protocol/problems.ts";
import { route } from "../../src/http/route.ts";
import { startHttp } from "./support.ts";

/** A route that throws what it is told to. */
const throwing = (thrown: unknown) =>
  route(
    { method: "post", path: "/v1/throw", operationId: "throw", tag: "Tests", summary: "Throws.", answer: z.object({}) },
    () => Promise.reject(thrown as Error),
  );

describe("a refusal", () => {
  it.each(Object.keys(errorCatalogue) as ErrorCode[])("with code %s is an RFC 9457 problem", async (code) => {
    const error = new GatewayError(code, "What went wrong.", { field: "data.x" });
    const { call } = await startHttp({ routes: [throwing(error)] });

    const answer = await call("/v1/throw", { method: "POST" });

    expect(answer.status).toBe(errorCatalogue[code].status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(problem.parse(answer.json)).toEqual({
      type: `/docs#${code}`,
      title: errorCatalogue[code].message,
      status: errorCatalogue[code].status,
      detail: "What went wrong.",
      code,
      field: "data.x",
    });
  });

  it("that may be repeated says when, in whole seconds upwards", async () => {
    const error = new GatewayError("unavailable", undefined, { retryAfterMs: 1_001 });
    const { call } = await startHttp({ routes: [throwing(error)] });

    const answer = await call("/v1/throw", { method: "POST" });

    expect(answer.headers.get("retry-after")).toBe("2");
    expect(answer.json.retryAfterMs).toBe(1_001);
  });

  it("for want of the store is unavailable, to be repeated", async () => {
    const away = Object.assign(new Error("connect ECONNREFUSED 10.1.2.3:6379"), { syscall: "connect" });
    const { call } = await startHttp({ routes: [throwing(away)] });

    const answer = await call("/v1/throw", { method: "POST" });

    expect(answer.json).toMatchObject({ code: "unavailable", status: 503, retryAfterMs: 1_000 });
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(answer.text).not.toContain("10.1.2.3");
  });

  it.each([
    new Error("SELECT at /srv/app/secret.ts:3 on 10.1.2.3:6379"),
    Object.assign(new Error("with a status"), { status: 418, statusCode: 418, expose: true }),
    "a string",
    undefined,
    { code: "forbidden", message: "not one of ours" },
  ])("of our own making says nothing of it: %s", async (thrown) => {
    const { call, lines } = await startHttp({ routes: [throwing(thrown)] });

    const answer = await call("/v1/throw", { method: "POST" });

    expect(answer.status).toBe(500);
    expect(answer.json).toEqual({
      type: "/docs#internal",
      title: "Internal error. Details are in the server log.",
      status: 500,
      detail: "Internal error. Details are in the server log.",
      code: "internal",
    });
    expect(lines.filter((line) => line.includes("HTTP request failed"))).toHaveLength(1);
  });

  it("of a page is the same kind of problem", async () => {
    const readiness = () => Promise.reject(new Error("secret"));
    const { call } = await startHttp({ readiness });

    expect((await call("/readyz")).json).toMatchObject({ code: "internal", status: 500 });
    expect((await call("/demo/%ff")).json).toMatchObject({ code: "not_found", status: 404 });
    expect((await call("/nothing")).json).toMatchObject({ code: "not_found", status: 404 });
  });
});
