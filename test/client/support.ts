import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { type Channel, type Client, type ConnectOptions, connect } from "../../src/client/client.ts";
import { seeded } from "../support/random.ts";
import { repository } from "../support/source-tree.ts";
import { type ContractServer, type ContractServerOptions, startContractServer } from "./contract-server.ts";

export async function contractServer(options: ContractServerOptions = {}): Promise<ContractServer> {
  const server = await startContractServer(options);
  onTestFinished(() => server.stop());
  return server;
}

/** A client with short delays. */
export function client(url: string, options: Partial<ConnectOptions> = {}): Client {
  const connected = connect(url, { token: "token-1", backoff: { minDelayMs: 5, maxDelayMs: 20 }, ...options });
  onTestFinished(() => connected.close());
  return connected;
}

/** Records the events of a channel, in order. */
export function eventsOf(channel: Channel): string[] {
  const lines: string[] = [];
  channel.on("publication", ({ offset, recovered }) => lines.push(recovered ? `${offset} recovered` : `${offset}`));
  channel.on("recovered", ({ position, count }) => lines.push(`recovered ${count} up to ${position.offset}`));
  channel.on("reset", ({ position, previous }) => lines.push(`reset ${previous.offset} to ${position.offset}`));
  channel.on("snapshot", ({ snapshot }) => lines.push(`snapshot ${JSON.stringify(snapshot)}`));
  channel.on("unsubscribed", ({ code, willReturn }) => lines.push(`unsubscribed ${code} ${willReturn}`));
  return lines;
}

/** Drops the connection, as a network failure does. */
export const cut = (connected: Client): void => void connected.socket.io.engine.close();

/** Whole numbers below a bound, the same for the same seed. */
export function whole(seed: number): (below: number) => number {
  const random = seeded(seed);
  return (below) => Math.floor(random() * below);
}

/** The packages for browsers and backends as they are published, in a folder that finds their dependencies. */
export async function builtPackages(): Promise<string> {
  const folder = mkdtempSync(join(repository, "dist-packages-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const tsdown = join(repository, "node_modules/tsdown/dist/run.mjs");
  const options = ["--no-dts", "--no-publint", "--no-attw", "--no-clean", "-d", folder];
  await promisify(execFile)(process.execPath, [tsdown, ...options], { cwd: repository });
  return folder;
}
