import { describe, expect, it } from "vitest";
import { apiKey, publishBody, sendRaw, startHttp } from "./support.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const withData = (data: string): string => `{"channel":"chat:lobby","event":"said","data":${data}}`;

describe("a body", () => {
  it.each([
    ["nested 33 deep", withData(nested(32)), undefined],
    ["nested 100,000 deep", withData(nested(100_000)), undefined],
    ["with a __proto__ key", withData('{"a":[{"__proto__":{"admin":true}}]}'), "data.a[0].__proto__"],
    ["with a number beyond all doubles", withData('{"n":1e400}'), "data.n"],
    ["with a lone surrogate", withData('["\\ud800"]'), "data[0]"],
    ["with a lone surrogate as a key", withData('{"\\udfff":1}'), "data"],
    ["with a channel that is a number", '{"channel":5,"event":"said","data":1}', "channel"],
    ["with a channel that is a list", '{"channel":["chat:a"],"event":"said","data":1}', "channel"],
    ["with an empty channel", '{"channel":"","event":"said","data":1}', "channel"],
    ["with a line break in the channel", '{"channel":"chat:a\\n","event":"said","data":1}', "channel"],
    ["with a pattern instead of a channel", '{"channel":"news:*","event":"said","data":1}', "channel"],
    ["with a channel of 257 characters", `{"channel":"${"a".repeat(257)}","event":"said","data":1}`, "channel"],
    ["without an event", '{"channel":"chat:a","data":1}', "event"],
    ["without data", '{"channel":"chat:a","event":"said"}', "data"],
    ["with a null key", '{"channel":"chat:a","event":"said","data":1,"idempotencyKey":null}', "idempotencyKey"],
    ["with a field nobody knows", '{"channel":"chat:a","event":"said","data":1,"ttl":-1}', "ttl"],
    ["that is a list", "[]", undefined],
    ["that is null", "null", undefined],
    ["that is a string", '"publish"', undefined],
    ["that is not JSON", "{channel:1}", undefined],
    ["that ends early", '{"channel":"chat:a"', undefined],
    ["with something after its end", `${withData("1")}x`, undefined],
    ["of whitespace", "   ", undefined],
  ])("%s is a bad request", async (_name, body, field) => {
    const { call, channels } = await startHttp();

    const answer = await call("/v1/publish", { body });

    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ code: "bad_request", status: 400 });
    if (field !== undefined) expect(answer.json.field).toContain(field);
    expect(channels.requests).toEqual([]);
  });

  it.each([
    ["[]", "The request must be an object."],
    ['{"channel":"chat:a","event":5,"data":1}', "event: must be a string"],
    ['{"channel":"chat:a","event":"said","data":1,"except":7}', "except: must be a name, or an array of 1 to 16 names"],
    ['{"channel":"news:*","event":"said","data":1}', "channel: must name one channel; * is for grants only"],
  ])("%s is refused in plain words", async (body, detail) => {
    const { call } = await startHttp();

    expect((await call("/v1/publish", { body })).json).toMatchObject({ code: "bad_request", detail });
  });

  it("nested 32 deep is accepted", async () => {
    const { call } = await startHttp();

    expect((await call("/v1/publish", { body: withData(nested(31)) })).status).toBe(200);
  });

  it("that is not UTF-8 is a bad request", async () => {
    const { http } = await startHttp();

    const answer = await sendRaw(http.port, post(withData('"\xff\xfe"')));

    expect(answer).toMatch(/^HTTP\/1.1 400 /);
  });

  it("that is missing is a bad request", async () => {
    const { call } = await startHttp();

    expect((await call("/v1/publish", { method: "POST" })).json).toMatchObject({ code: "bad_request" });
  });

  it.each([
    ["text/plain", 415],
    ["application/x-www-form-urlencoded", 415],
    ["application/json; charset=iso-8859-1", 415],
    ["application/jsonp", 415],
    ["application/json;charset=UTF-8", 200],
  ])("of type %s is answered %i", async (type, status) => {
    const { call } = await startHttp();

    const answer = await call("/v1/publish", { body: publishBody, headers: { "content-type": type } });

    expect(answer.status).toBe(status);
    if (status === 415) expect(answer.json).toMatchObject({ code: "unsupported_media_type", status: 415 });
  });

  it.each(["gzip", "deflate", "br", "zstd", "x"])("encoded as %s is refused unread", async (encoding) => {
    const { call } = await startHttp();

    const answer = await call("/v1/publish", { body: publishBody, headers: { "content-encoding": encoding } });

    expect(answer.status).toBe(415);
  });

  it("over 1 MiB is too large, whether it says so or not, and the client can read that", async () => {
    const { call, http } = await startHttp();
    const body = withData(`"${"a".repeat(2_000_000)}"`);
    const chunked = `Host: x\r\nAuthorization: Bearer ${apiKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked`;

    const told = await call("/v1/publish", { body });
    const untold = await sendRaw(
      http.port,
      `POST /v1/publish HTTP/1.1\r\n${chunked}\r\nConnection: close\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    );

    expect(told.json).toMatchObject({ code: "payload_too_large", status: 413 });
    expect(untold).toMatch(/^HTTP\/1.1 413 /);
  });
});

describe("a method or path", () => {
  it("that does not exist is named, and the methods that do", async () => {
    const { call } = await startHttp();

    const wrongMethod = await call("/v1/publish", { method: "DELETE" });
    const wrongRead = await call("/v1/channels", { body: {} });
    const page = await call("/healthz", { body: {} });

    expect([wrongMethod.status, wrongMethod.headers.get("allow")]).toEqual([405, "POST"]);
    expect([wrongRead.status, wrongRead.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect([page.status, page.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(wrongMethod.json).toMatchObject({ code: "method_not_allowed", status: 405 });
  });

  it.each([
    "/v1",
    "/v1/",
    "/v1/publish/",
    "/v1/Publish",
    "/v1/publish%2Fbatch",
    "/nothing",
    "/docs/../x",
    "/demo/login",
  ])("%s is not found", async (path) => {
    const { call } = await startHttp();

    expect((await call(path)).json).toMatchObject({ code: "not_found", status: 404 });
  });

  it("names a parameter that the route does not have, and does nothing", async () => {
    const { call } = await startHttp();
    const body = { channel: "chat:lobby", event: "said", data: 1 };

    const removed = await call("/v1/channels/chat:lobby/history?limit=5", { method: "DELETE" });
    const written = await call("/v1/publish?idempotencyKey=k", { body });

    expect(removed.json).toMatchObject({ code: "bad_request", field: "limit" });
    expect(written.json).toMatchObject({ code: "bad_request", field: "idempotencyKey" });
  });

  it.each(["/v1/channels/%ff/history", "/v1/channels/a%/history", "/v1/channels//history", "/v1/channels/%00/history"])(
    "%s names the wrong parameter",
    async (path) => {
      const { call } = await startHttp();

      expect((await call(path)).json).toMatchObject({ code: "bad_request", field: "channel" });
    },
  );

  it.each([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=-1", "limit"],
    ["limit=1e2", "limit"],
    ["limit=0x10", "limit"],
    ["limit=1&limit=2", "limit"],
    ["limit[]=1", "limit"],
    ["offset=3", "epoch"],
    ["epoch=e1", "offset"],
    ["__proto__=1", "__proto__"],
    ["sort=asc", "sort"],
  ])("with the query %s names the wrong field", async (query, field) => {
    const { call, channels } = await startHttp();

    const answer = await call(`/v1/channels/chat:lobby/history?${query}`);

    expect(answer.json).toMatchObject({ code: "bad_request", status: 400 });
    expect(answer.json.field).toContain(field);
    expect(channels.histories).toEqual([]);
  });
});

function post(body: string): string {
  const fields = `Host: x\r\nAuthorization: Bearer ${apiKey}\r\nContent-Type: application/json\r\nConnection: close`;
  return `POST /v1/publish HTTP/1.1\r\n${fields}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
