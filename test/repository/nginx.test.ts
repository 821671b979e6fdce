import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startLocalNginx } from "../../scripts/local-nginx.ts";
import { needs } from "../../scripts/needs.ts";
import { errorCatalogue } from "../../src/protocol/errors.ts";
import { problem, problemType } from "../../src/protocol/problems.ts";
import { freePort } from "../support/redis-server.ts";
import { repository } from "../support/source-tree.ts";

const canUnshare = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;

describe.skipIf(!needs.nginx.isInstalled())("nginx.conf", () => {
  test.skipIf(!canUnshare)("is accepted as it stands", () => {
    const folder = temporaryFolder();
    const hosts = join(folder, "hosts");
    writeFileSync(hosts, "127.0.0.1 localhost\n127.0.0.2 node-1\n127.0.0.3 node-2\n127.0.0.4 node-3\n");
    const check = 'mount --bind "$0" /etc/hosts && exec nginx -t -q -c "$1" -g "pid $2;"';

    const words = [hosts, join(repository, "nginx.conf"), join(folder, "pid")];
    const { status, stderr } = spawnSync("unshare", ["-m", "sh", "-c", check, ...words], { encoding: "utf8" });

    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  test("distributes new WebSockets, and keeps other requests of a client on one node", async () => {
    const { ask } = await nginxBefore(["node-1", "node-2", "node-3"].map(named));
    const handshake = "/socket.io/?EIO=4&transport=websocket";

    const fresh = await many(40, () => ask("GET", handshake, { upgrade: "websocket", connection: "upgrade" }));
    const polling = await many(10, () => ask("GET", "/socket.io/?EIO=4&transport=polling"));
    const bound = await many(10, () =>
      ask("GET", `${handshake}&sid=abc`, { upgrade: "websocket", connection: "upgrade" }),
    );

    expect(new Set(fresh.map(({ body }) => body)).size).toBeGreaterThan(1);
    expect(new Set([...polling, ...bound].map(({ body }) => body)).size).toBe(1);
  });

  test("fails over from a node that is down", async () => {
    const { ask } = await nginxBefore([gone(), named("alive"), gone()]);

    const answers = await many(10, () => ask("GET", "/socket.io/?EIO=4&transport=polling"));
    const writes = await many(10, () => ask("POST", "/v1/publish", {}, "{}"));

    expect(new Set([...answers, ...writes].map(({ body }) => body))).toEqual(new Set(["alive"]));
  });

  test("gives nodes that are back all the WebSockets that come", async () => {
    const ports = await Promise.all([1, 2, 3].map(() => freePort()));
    const { ask, upgrade } = await nginxBefore(ports);
    const handshake = "/socket.io/?EIO=4&transport=websocket";
    await many(6, () => ask("GET", handshake, { upgrade: "websocket", connection: "upgrade" }));

    await Promise.all(ports.map(listenForUpgrades));

    expect(new Set(await Promise.all(Array.from({ length: 12 }, () => upgrade(handshake))))).toEqual(new Set([101]));
  });

  test("retries reads, and writes with an idempotency key, but no other write", async () => {
    const seen: string[] = [];
    const { ask } = await nginxBefore([breakingNode(seen), breakingNode(seen), breakingNode(seen)]);
    const tries = async (method: string, headers: Record<string, string> = {}): Promise<number> => {
      await ask(method, "/v1/x", headers, method === "GET" ? undefined : "{}");
      return seen.splice(0).length;
    };

    expect(await tries("GET")).toBe(3);
    expect(await tries("POST", { "idempotency-key": "k" })).toBe(3);
    expect(await tries("PUT", { "idempotency-key": "k" })).toBe(3);
    expect(await tries("POST")).toBe(1);
    expect(await tries("PUT")).toBe(1);
    expect(await tries("DELETE")).toBe(1);
  });

  test("answers for nodes that break with a problem of the catalogue", async () => {
    const { ask } = await nginxBefore([breakingNode([]), breakingNode([]), breakingNode([])]);
    const paths = [
      "POST /v1/publish",
      "GET /v1/channels",
      "GET /v1/stream",
      "DELETE /v1/sessions/s",
      "GET /socket.io/",
    ];

    for (const [method = "", path = ""] of paths.map((each) => each.split(" "))) {
      const { status, body, headers } = await ask(method, path, {}, method === "POST" ? "{}" : undefined);
      expect([path, status, headers["content-type"], headers["retry-after"]]).toEqual([path, 503, problemType, "1"]);
      expect(problem.parse(JSON.parse(body))).toMatchObject({ status, code: "unavailable", retryAfterMs: 1_000 });
    }
    const { body } = await ask("POST", "/v1/publish", {}, "x".repeat(1_300_000));
    const { title } = problem.parse(JSON.parse(body));
    expect(title).toBe(errorCatalogue.payload_too_large.message);
  });

  test("leaves the gateway's own answers as they are", async () => {
    const refusing = createServer((_incoming, outgoing) => outgoing.writeHead(502).end("app_failed"));
    await listening(refusing);
    const { ask } = await nginxBefore([1, 2, 3].map(() => (refusing.address() as AddressInfo).port));

    expect(await ask("POST", "/v1/publish", {}, "{}")).toMatchObject({ status: 502, body: "app_failed" });
  });

  test("passes on why all nodes refuse, each time, and lets other calls through", async () => {
    const refusing = createServer(({ url }, outgoing) => {
      if (url === "/healthz") outgoing.end("ok");
      else outgoing.writeHead(503).end("writes_refused");
    });
    await listening(refusing);
    const { ask } = await nginxBefore([1, 2, 3].map(() => (refusing.address() as AddressInfo).port));

    for (const path of ["/v1/publish", "/v1/publish", "/v1/stream", "/readyz"])
      expect((await ask("GET", path)).body).toBe("writes_refused");
    expect((await ask("POST", "/v1/publish", { "idempotency-key": "k" }, "{}")).body).toBe("writes_refused");
    expect((await ask("POST", "/v1/publish", {}, "{}")).body).toBe("writes_refused");
    expect((await ask("GET", "/healthz")).body).toBe("ok");
  });

  test("asks another node than one that is frozen, and waits for clients that are asked", async () => {
    const frozen = createServer(({ url }, outgoing) => {
      if (url?.endsWith("/request") === true) setTimeout(() => outgoing.end("asked"), 1_500);
    });
    await listening(frozen);
    const { port } = frozen.address() as AddressInfo;
    const { ask } = await nginxBefore([port, named("alive"), port], "1s");

    const keyed = await many(3, () => ask("POST", "/v1/publish", { "idempotency-key": "k" }, "{}"));
    const asked = await Promise.all([1, 2, 3].map(() => ask("POST", "/v1/users/a%2Fb/request", {}, "{}")));

    expect(keyed.map(({ body }) => body)).toEqual(["alive", "alive", "alive"]);
    expect(asked.map(({ body }) => body).toSorted()).toEqual(["alive", "asked", "asked"]);
  });

  test("keeps the body of a retried write", async () => {
    const bodies: string[] = [];
    const { ask } = await nginxBefore([breakingNode(bodies), breakingNode(bodies), named("alive")]);

    const answers = await many(3, () => ask("POST", "/v1/x", { "idempotency-key": "k" }, '{"whole":true}'));

    expect(answers.map(({ body }) => body)).toEqual(["alive", "alive", "alive"]);
    expect(new Set(bodies)).toEqual(new Set(['POST {"whole":true}']));
  });

  test("forwards the client's address, whatever the client claims", async () => {
    const echoing: MakeNode = (incoming) => String(incoming.headers["x-forwarded-for"]);
    const { ask } = await nginxBefore([echoing, echoing, echoing]);

    expect((await ask("GET", "/healthz", { "x-forwarded-for": "1.2.3.4" })).body).toBe("127.0.0.1");
    expect((await ask("GET", "/socket.io/", { "x-forwarded-for": "1.2.3.4" })).body).toBe("127.0.0.1");
  });

  test("hides metrics and refuses large bodies", async () => {
    const { ask } = await nginxBefore(["node-1", "node-2", "node-3"].map(named));

    const written = ["/metrics", "/metrics/", "/metrics//", "//metrics", "/./metrics", "/v1/../metrics/", "/METRICS"];
    const encoded = [
      "/%6detrics",
      "/%6Detrics%2f",
      "/metrics%2F",
      "/metrics%3Fx",
      "/metrics;x",
      "/metrics?x",
      "/metrics/x",
    ];
    for (const path of [...written, ...encoded]) {
      expect([path, (await ask("GET", path)).status]).toEqual([path, 404]);
    }
    expect((await ask("GET", "/v1/metrics")).status).toBe(200);
    expect((await ask("POST", "/v1/publish", {}, "x".repeat(1_300_000))).status).toBe(413);
  });

  test("leaves it to the gateway to notice that a stream is read too slowly", async () => {
    const most = 64 * 1_048_576;
    let written = 0;
    const streaming = createServer((_, outgoing) => {
      outgoing.writeHead(200, { "Content-Type": "text/event-stream" });
      const more = (): void => {
        while (written < most) {
          written += 65_536;
          if (!outgoing.write(`data: ${"x".repeat(65_536)}\n\n`)) return;
        }
      };
      outgoing.on("drain", more);
      more();
    });
    await listening(streaming);
    const port = await freePort();
    const node = `127.0.0.1:${(streaming.address() as AddressInfo).port}`;
    const nginx = await startLocalNginx({ port, nodes: [node, node, node], folder: temporaryFolder() });
    onTestFinished(() => void nginx.kill("SIGTERM"));

    const outgoing = request({ port, path: "/v1/stream?channel=chat:a", agent: false }).end();
    onTestFinished(() => void outgoing.destroy());
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    incoming.pause();
    for (let before = -1; before < written && written < most;) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }

    expect(written).toBeLessThan(most);
  });

  test("forwards the requested host with its port", async () => {
    const echoing: MakeNode = (incoming) => String(incoming.headers.host);
    const { ask } = await nginxBefore([echoing, echoing, echoing]);

    expect((await ask("GET", "/socket.io/", { host: "gateway.example:8443" })).body).toBe("gateway.example:8443");
    expect((await ask("GET", "/healthz", { host: "gateway.example:8443" })).body).toBe("gateway.example:8443");
  });
});

/** What a node says to a request; undefined breaks the line. */
type MakeNode = ((incoming: IncomingMessage, body: string) => string | undefined) | undefined;
/** What to start, or the port of what listens already. */
type AnyNode = MakeNode | number;

const named =
  (name: string): MakeNode =>
  () =>
    name;

const gone = (): MakeNode => undefined;

const breakingNode =
  (seen: string[]): MakeNode =>
  ({ method }, body) => {
    seen.push(`${method} ${body}`);
    return undefined;
  };

interface Answer {
  status: number;
  body: string;
  headers: IncomingHttpHeaders;
}
type Ask = (method: string, path: string, headers?: Record<string, string>, body?: string) => Promise<Answer>;

interface Nginx {
  ask: Ask;
  /** The status with which a WebSocket is answered, which stays open until the test ends. */
  upgrade: (path: string) => Promise<number>;
}

async function nginxBefore(nodes: AnyNode[], readTimeout?: string): Promise<Nginx> {
  const folder = temporaryFolder();
  const addresses = await Promise.all(nodes.map(async (node) => `127.0.0.1:${await startNode(node)}`));
  const port = await freePort();
  const nginx = await startLocalNginx({
    port,
    nodes: addresses,
    folder,
    ...(readTimeout !== undefined && { readTimeout }),
  });
  onTestFinished(async () => {
    const exit = once(nginx, "exit");
    nginx.kill("SIGTERM");
    await exit;
  });
  return {
    ask: (method, path, headers = {}, body) => ask(port, method, path, headers, body),
    upgrade: (path) => upgrade(port, path),
  };
}

function upgrade(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, path, headers: { upgrade: "websocket", connection: "upgrade" }, agent: false });
    outgoing.on("upgrade", ({ statusCode = 0 }, socket) => {
      onTestFinished(() => void socket.destroy());
      resolve(statusCode);
    });
    outgoing.on("response", ({ statusCode = 0 }) => resolve(statusCode));
    outgoing.on("error", reject).end();
  });
}

/** A node that accepts every WebSocket, and says nothing on it. */
async function listenForUpgrades(port: number): Promise<void> {
  const node = createServer();
  node.on("upgrade", (_incoming, socket) => {
    onTestFinished(() => void socket.destroy());
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  });
  await new Promise<void>((resolve) => node.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => void node.close());
}

async function startNode(node: AnyNode): Promise<number> {
  if (typeof node === "number") return node;
  if (node === undefined) return freePort();
  const server = createServer((incoming, outgoing) => {
    void readAll(incoming).then((body) => {
      const said = node(incoming, body);
      if (said === undefined) incoming.socket.destroy();
      else outgoing.end(said);
    });
  });
  await listening(server);
  return (server.address() as AddressInfo).port;
}

async function listening(server: Server): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
}

function ask(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, method, path, headers, agent: false }, (incoming) => {
      void readAll(incoming).then((text) =>
        resolve({ status: incoming.statusCode ?? 0, body: text, headers: incoming.headers }),
      );
    });
    outgoing.on("error", reject).end(body);
  });
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of incoming) text += String(chunk);
  return text;
}

async function many<T>(count: number, act: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < count; i++) results.push(await act());
  return results;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
  // nginx drops its rights when root starts it, and still has to write here.
  execFileSync("chmod", ["0777", folder]);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
