import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { connectClient, told, type Client } from "../support/gateway.ts";
import { spawnNodeProcess, type NodeProcess } from "../support/node-process.ts";
import { isAlive, startWorkers, type WorkersProcess } from "../support/workers.ts";
import { eventually } from "../support/world.ts";

const file = { channels: { chat: { subscribe: "public", publish: "public" } } };
const channel = "chat:lobby";

describe("a gateway of several workers", { timeout: 120_000 }, () => {
  test("replaces one that is killed: its clients recover, the others notice nothing; Ctrl-C drains all", async () => {
    const gateway = await started({ file });
    const clients = await readers(gateway, 12);
    const [own, others] = [clients.filter(isOn("lab-1")), clients.filter(isOn("lab-2"))];
    const cuts = own.map((client) => once(client as unknown as NodeJS.EventEmitter, "disconnect"));
    await publish(gateway);

    process.kill(gateway.pids().get(1) ?? 0, "SIGKILL");
    await Promise.all(cuts);
    await publish(gateway);

    await eventually(() => expect(own.every(({ connected }) => connected)).toBe(true));
    await eventually(async () => expect(await gateway.metric("gateway_workers_running")).toBe(2));
    await eventually(async () => expect(await gateway.metric("gateway_workers_lost_total")).toBe(1));
    await publish(gateway);
    await eventually(() => expect(clients.map(offsetsOf)).toEqual(clients.map(() => [1, 2, 3])));
    expect(own.map(({ recovered }) => recovered)).toEqual(own.map(() => true));
    expect(others.map((client) => told(client, "ready").length)).toEqual(others.map(() => 1));

    // Where they would come back to is going too.
    for (const client of clients) client.once("drain", () => client.disconnect());
    const pids = [...gateway.pids().values()];
    for (const pid of [...pids, gateway.pid]) process.kill(pid, "SIGINT");

    expect(await gateway.ended).toEqual({ code: 0, signal: null });
    expect(JSON.parse(gateway.log().trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ msg: "drained", workers: 2 });
    expect(pids.filter(isAlive)).toEqual([]);
    await eventually(() => expect(clients.map((client) => told(client, "drain").length)).toEqual(clients.map(() => 1)));
  });

  // Until it is found to hang half a minute passes, so only with the long faults.
  test.runIf(process.env["FAULTS"] === "long")(
    "kills and replaces one that hangs: its clients recover, the others notice nothing",
    async () => {
      const gateway = await started({ file });
      const clients = await readers(gateway, 12);
      const [own, others] = [clients.filter(isOn("lab-1")), clients.filter(isOn("lab-2"))];
      const hung = gateway.pids().get(1) ?? 0;

      process.kill(hung, "SIGSTOP");

      await eventually(() => expect(isAlive(hung)).toBe(false), 60_000);
      await eventually(async () => expect(await gateway.metric("gateway_workers_running")).toBe(2));
      await eventually(() => expect(own.every(({ connected }) => connected)).toBe(true));
      await publish(gateway);
      await eventually(() => expect(clients.map(offsetsOf)).toEqual(clients.map(() => [1])));
      expect(others.map((client) => told(client, "ready").length)).toEqual(others.map(() => 1));
      expect(gateway.pids().get(1)).not.toBe(hung);
    },
  );

  test.runIf(process.env["FAULTS"] === "long")(
    "keeps all of them after it was stopped itself for a while",
    async () => {
      const gateway = await started({ file });
      const pids = [...gateway.pids().values()];

      process.kill(gateway.pid, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 40_000));
      process.kill(gateway.pid, "SIGCONT");
      await new Promise((resolve) => setTimeout(resolve, 12_000));

      expect(pids.filter(isAlive)).toEqual(pids);
      expect(gateway.log()).not.toContain("worker is unresponsive");
      expect(await gateway.metric("gateway_workers_running")).toBe(2);
    },
  );

  test("shares one embedded store, and leaves nothing behind where its primary process is killed", async () => {
    const folder = temporaryFolder();
    const gateway = await started({ env: { REDIS_URL: "", TMPDIR: folder }, file });
    const clients = await readers(gateway, 12);
    for (let i = 0; i < 6; i++) await publish(gateway);
    await eventually(() => expect(clients.map(offsetsOf)).toEqual(clients.map(() => [1, 2, 3, 4, 5, 6])));

    const pids = [...gateway.pids().values()];
    await gateway.kill();

    await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
    await eventually(() => expect(readdirSync(folder)).toEqual([]));
  });

  test("ends where a worker cannot be kept up, with the reason", async () => {
    const folder = temporaryFolder();
    const isBroken = join(folder, "broken");
    const gateway = await started({ env: { NODE_OPTIONS: endingWorkersWhere(isBroken) } });

    writeFileSync(isBroken, "");
    process.kill(gateway.pids().get(2) ?? 0, "SIGTERM");

    expect(await gateway.ended).toEqual({ code: 1, signal: null });
    expect(gateway.log()).toContain(
      "tidegate: worker 2 exited 5 times in a row shortly after it started (exit code 7)",
    );
    expect([...gateway.pids().values()].filter(isAlive)).toEqual([]);
  });

  test("does not start where the port is taken, and says so once", async () => {
    const gateway = await failing({ port: await takenPort() });

    expect((await gateway.ended).code).toBe(1);
    expect(gateway.log()).toMatch(/^tidegate: listen EADDRINUSE.*\n$/);
  });

  test("does not start where a worker cannot, and ends as that one did", async () => {
    const gateway = await failing({ env: { NODE_OPTIONS: endingWorkersWhere("package.json") } });

    expect((await gateway.ended).code).toBe(7);
    expect(gateway.log()).toContain("worker 1 exited while it started (exit code 7)");
  });
});

test("a worker that is killed while it starts is replaced", { timeout: 120_000 }, async () => {
  const killed = join(temporaryFolder(), "killed");

  const gateway = await started({ env: { NODE_OPTIONS: killingWorkerOnce(2, killed) } });

  expect(existsSync(killed)).toBe(true);
  await eventually(async () => expect(await gateway.metric("gateway_workers_running")).toBe(2));
  await eventually(async () => expect(await gateway.metric("gateway_workers_lost_total")).toBe(1));
});

async function failing({ port, env = {} }: { port?: number; env?: Record<string, string> }): Promise<NodeProcess> {
  const common = { WORKERS: "2", LOG_LEVEL: "fatal", REDIS_URL: inject("redisUrl") };
  const gateway = await spawnNodeProcess({ nodeId: "lab", port, env: { ...common, ...env } });
  onTestFinished(async () => void (await gateway.kill()));
  return gateway;
}

/** For NODE_OPTIONS: each worker ends at once while there is such a file. */
function endingWorkersWhere(path: string): string {
  const script = `import { existsSync } from "node:fs";
    if (process.env.TIDEGATE_WORKER !== undefined && existsSync(${JSON.stringify(path)})) process.exit(7);`;
  return `--import=data:text/javascript,${encodeURIComponent(script)}`;
}

/** For NODE_OPTIONS: kills worker `number` when it starts for the first time, of which it leaves `path` as a mark. */
function killingWorkerOnce(number: number, path: string): string {
  const script = `import { existsSync, writeFileSync } from "node:fs";
    if (process.env.TIDEGATE_WORKER === "${number}" && !existsSync(${JSON.stringify(path)})) {
      writeFileSync(${JSON.stringify(path)}, "");
      process.kill(process.pid, "SIGKILL");
    }`;
  return `--import=data:text/javascript,${encodeURIComponent(script)}`;
}

async function started(options: Parameters<typeof startWorkers>[0]): Promise<WorkersProcess> {
  const gateway = await startWorkers(options);
  onTestFinished(async () => void (await gateway.kill()));
  return gateway;
}

/** Stock clients on both workers that come back by themselves, subscribed. */
async function readers(gateway: WorkersProcess, count: number): Promise<Client[]> {
  const { token } = await gateway.signIn("alice");
  const clients = await Promise.all(
    Array.from({ length: count }, () =>
      connectClient(gateway.url, token, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 500 }),
    ),
  );
  await Promise.all(clients.map((client) => client.emitWithAck("subscribe", { channel })));
  return clients;
}

const isOn =
  (node: string) =>
  ({ ready }: Client): boolean =>
    ready["nodeId"] === node;

const offsetsOf = (client: Client): number[] => told(client, "publication").map(({ offset }) => offset as number);

/** Once, though a connection to a worker that has just been killed may have to be replaced first. */
async function publish(gateway: WorkersProcess): Promise<void> {
  const publication = { channel, event: "message", data: {}, idempotencyKey: randomUUID() };
  const { status } = await eventually(() => gateway.call("POST", "/v1/publish", publication));
  expect(status).toBe(200);
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-workers-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function takenPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
