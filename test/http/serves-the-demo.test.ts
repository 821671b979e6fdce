import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { sendRaw, startHttp } from "./support.ts";

/** A built page as Vite leaves it. */
async function builtDemo(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tidegate-demo-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, "assets"));
  await writeFile(join(directory, "index.html"), "<!doctype html><title>demo</title>");
  await writeFile(join(directory, "assets", "page-1a2b3c.js"), "export {};");
  await writeFile(join(directory, ".secret"), "hunter2");
  return directory;
}

const login = async (name: string, address: string) => ({
  sessionId: `${name} at ${address}`,
  token: "t",
  expiresAt: 1,
});

describe("the demo", () => {
  it("is served with an ETag, its hashed files for ever", async () => {
    const { http, call } = await startHttp({ demo: { directory: await builtDemo() } });

    const page = await call("/demo/");
    const asset = await call("/demo/assets/page-1a2b3c.js");

    expect(page.text).toContain("<title>demo</title>");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    expect(asset.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    const etag = page.headers.get("etag");
    const again = `GET /demo/ HTTP/1.1\r\nHost: x\r\nIf-None-Match: ${etag}\r\nConnection: close\r\n\r\n`;
    expect(await sendRaw(http.port, again)).toMatch(/^HTTP\/1.1 304 /);
    expect((await call("/demo")).headers.get("location")).toBe("/demo/");
    const posted = await call("/demo/", { body: {} });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("may load and reach what it needs over plain HTTP, and nothing else", async () => {
    const { call } = await startHttp({ demo: { directory: await builtDemo() } });

    const policy = (await call("/demo/")).headers.get("content-security-policy") ?? "";

    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("connect-src 'self' ws: wss:");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/upgrade-insecure-requests|unsafe|\*/);
  });

  it.each([
    "/demo/.secret",
    "/demo/..%2f..%2fetc/passwd",
    "/demo/%2e%2e/package.json",
    "/demo/assets/",
    "/demo/nothing",
  ])("gives nothing away at %s", async (path) => {
    const { call } = await startHttp({ demo: { directory: await builtDemo() } });

    const answer = await call(path);

    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.json).toMatchObject({ status: answer.status });
    expect(answer.text).not.toMatch(/hunter2|root:/);
  });

  it("signs in under any name where it may", async () => {
    const { call } = await startHttp({ demo: { directory: await builtDemo(), login } });

    const signedIn = await call("/demo/login", { body: { name: "ada" }, headers: { authorization: "" } });

    expect(signedIn.status).toBe(201);
    expect(signedIn.json).toEqual({ sessionId: "ada at 127.0.0.1", token: "t", expiresAt: 1 });
    expect((await call("/demo/login", { body: { name: "" } })).json).toMatchObject({
      code: "bad_request",
      field: "name",
    });
    expect(
      (await call("/demo/login", { body: '{"name":"a"}', headers: { "content-type": "text/plain" } })).status,
    ).toBe(415);
    expect((await call("/demo/login")).headers.get("allow")).toBe("POST");
  });

  it("signs nobody in elsewhere, and is not what / leads to", async () => {
    const { call } = await startHttp({ demo: { directory: await builtDemo() } });

    expect((await call("/demo/login", { body: { name: "ada" } })).status).toBe(404);
    expect((await call("/")).headers.get("location")).toBe("/docs");
  });

  it("is what / leads to where one can sign in", async () => {
    const { call } = await startHttp({ demo: { directory: await builtDemo(), login } });

    expect((await call("/")).headers.get("location")).toBe("/demo/");
  });
});
