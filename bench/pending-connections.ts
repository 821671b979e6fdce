/**
 * Memory of a node per unauthenticated connection at its most expensive: a WebSocket that has sent a frame of the largest
 * size allowed before authentication, except for its last byte. The connections come from ten addresses, and the peak of
 * the resident set counts, because the node closes them after a few seconds.
 * `node bench/pending-connections.ts [connections] [runs]`, 4,500 and 3 by default.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { pendingPayload } from "../src/engine/engine-socket.ts";
import { frame, upgradeRequest } from "../test/support/hostile.ts";
import { machine, median, residentBytes, skip } from "./support/machine.ts";
import { startTidegate, type MeasuredServer } from "./support/measured-servers.ts";
import { table, writeResult } from "./support/results.ts";

const connections = Number(process.argv[2] ?? 4_500);
const runs = Number(process.argv[3] ?? 3);
const addresses = 10;

/** After the start of a node, and after the connections are closed. */
const settleMs = 5_000;

/** Connections opened together, so that the listen queue of the system does not overflow. */
const batchSize = 100;

interface Measured {
  opened: number;
  bytes: number;
}

/** A text frame of the largest size, without its last byte. */
const incomplete = frame(0x81, `4${"x".repeat(pendingPayload - 1)}`).subarray(0, -1);

if (needs.redis.isInstalled()) writeResult("pending-connections", report(await measureAll()));
else skip("pending connections", "there is no redis-server");

async function measureAll(): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (let run = 0; run < runs; run += 1) {
    const server = await startTidegate();
    try {
      await pause(settleMs);
      measured.push(await measure(server));
    } finally {
      await server.stop();
    }
  }
  return measured;
}

async function measure({ pid, port }: MeasuredServer): Promise<Measured> {
  const before = residentBytes(pid);
  let peak = before;
  const poll = setInterval(() => (peak = Math.max(peak, residentBytes(pid))), 50);
  const sockets: Socket[] = [];
  let opened = 0;
  for (let first = 0; first < connections; first += batchSize) {
    const batch = Array.from({ length: Math.min(batchSize, connections - first) }, (_, n) => open(port, first + n));
    sockets.push(...batch.map(({ socket }) => socket));
    for (const isOpen of await Promise.all(batch.map(({ upgraded }) => upgraded))) if (isOpen) opened += 1;
  }
  await Promise.race([pause(settleMs), Promise.all(sockets.map(untilClosed))]);
  clearInterval(poll);
  for (const socket of sockets) socket.destroy();
  return { opened, bytes: peak - before };
}

function open(port: number, index: number): { socket: Socket; upgraded: Promise<boolean> } {
  const socket = connect({ host: "127.0.0.1", port, localAddress: `127.0.0.${2 + (index % addresses)}` });
  socket.write(upgradeRequest("EIO=4&transport=websocket"));
  const upgraded = new Promise<boolean>((resolve) => {
    socket.once("data", (data) => {
      const isOpen = data.toString("latin1").startsWith("HTTP/1.1 101");
      if (isOpen) socket.write(incomplete);
      resolve(isOpen);
    });
    socket.on("error", () => resolve(false)).once("close", () => resolve(false));
  });
  return { socket, upgraded };
}

function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function report(measured: readonly Measured[]): string {
  const megabytes = median(measured.map(({ bytes }) => bytes)) / 1_000_000;
  const kilobytes = median(measured.map(({ opened, bytes }) => bytes / opened)) / 1_000;
  const opened = Math.min(...measured.map((one) => one.opened));
  return [
    "# Unauthenticated connections",
    "",
    `${machine()}; ${connections.toLocaleString("en")} WebSockets from ${addresses} addresses, each with a frame of ` +
      `${pendingPayload.toLocaleString("en")} bytes that lacks its last byte; ${runs} runs.`,
    "Peak growth of the resident set; medians. The frame itself is part of it.",
    "",
    table(
      ["connections opened, at least", "MB", "kB a connection"],
      [[`${opened}`, megabytes.toFixed(0), kilobytes.toFixed(1)]],
    ),
  ].join("\n");
}
