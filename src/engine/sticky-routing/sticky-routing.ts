import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { detachHandle, socketOver, type NetHandle } from "../../runtime/net-handle.ts";
import { createRelay } from "./request-relay.ts";

/** What connects a worker to the others that listen on the same port. */
export interface StickyRoutingDeps {
  /** This worker's number, from 1. */
  worker: number;
  /** Number of workers. */
  count: number;
  /** Private directory of the workers' Unix sockets. */
  folder: string;
  /** Hands a socket, with what was read from it, to another worker. Rejects if that did not take it; it is closed then. */
  handOffSocket(to: number, handle: NetHandle, read: Buffer): Promise<void>;
  /** Calls `listener` with each socket that another worker hands off. */
  onSocket(listener: (handle: unknown, read: Uint8Array) => void): void;
}

/**
 * Routes requests to the worker that holds their session. Workers share a port, and any of them may receive any request of
 * a client. The first request of a session is served by the worker that receives it. A later one contains its worker in
 * the `sid`: if that is another, a polling request is relayed to it, and an upgrade to WebSocket is handed off with its
 * socket, so that no relay remains between client and worker.
 */
export interface StickyRouting {
  /** First part of the session ids of this worker. */
  readonly sidPrefix: string;
  /** False if the request is for this worker. `otherwise` runs if the other does not answer. */
  relayRequest(request: IncomingMessage, response: ServerResponse, otherwise: () => void): boolean;
  handOffUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** From now on `server` receives what other workers relay and hand off. */
  start(server: Server): Promise<void>;
  stop(): Promise<void>;
}

/** Max sockets being handed off at the same time; beyond, a client stays with polling. */
const maxHandoffs = 1_000;

export function createStickyRouting(deps: StickyRoutingDeps): StickyRouting {
  const { worker, count, folder } = deps;
  const relay = createRelay();
  const pathOf = (number: number): string => join(folder, `${number}`);
  // Relaying workers close idle connections themselves. A head that was just small enough for them may have grown a little.
  const relayServer = createServer({ keepAliveTimeout: 0, maxHeaderSize: 32_768 });
  let handoffs = 0;

  function otherWorkerIn(request: IncomingMessage): number | undefined {
    const number = workerIn(request);
    return number === undefined || number === worker || number > count ? undefined : number;
  }

  async function pass(to: number, handle: NetHandle, read: Buffer): Promise<void> {
    handoffs++;
    // If it is not taken, the client sees its attempt to upgrade fail, and stays with polling.
    await deps.handOffSocket(to, handle, read).catch(() => undefined);
    handoffs--;
  }

  return {
    sidPrefix: sidPrefixOf(worker),
    relayRequest(request, response, otherwise) {
      const to = otherWorkerIn(request);
      if (to !== undefined) relay.pass(pathOf(to), request, response, otherwise);
      return to !== undefined;
    },
    handOffUpgrade(request, socket, head) {
      const to = otherWorkerIn(request);
      const handle = to === undefined || handoffs >= maxHandoffs ? undefined : detachHandle(socket);
      if (to === undefined || handle === undefined) return false;
      void pass(to, handle, bytesOf(request, head));
      return true;
    },
    async start(server) {
      relayServer.on("request", (request, response) => enter(server, worker, request, response));
      deps.onSocket((handle, read) => acceptSocket(server, handle, read));
      await listenAt(relayServer, pathOf(worker));
    },
    stop() {
      relay.stop();
      relayServer.closeAllConnections();
      return new Promise((resolve) => relayServer.close(() => resolve()));
    },
  };
}

/** Accepts only requests of this worker's sessions from other workers: the peer's address is not known here. */
function enter(server: Server, worker: number, request: IncomingMessage, response: ServerResponse): void {
  const isOwn = request.url?.startsWith("/socket.io/") === true && workerIn(request) === worker;
  if (isOwn) server.emit("request", request, response);
  else response.writeHead(421).end();
}

/** A killed worker of the same number leaves its Unix socket behind. */
async function listenAt(relayServer: Server, path: string): Promise<void> {
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    relayServer.once("error", reject);
    // Not shared with the other workers, as a worker's servers otherwise are.
    relayServer.listen({ path, exclusive: true }, () => {
      relayServer.off("error", reject);
      resolve();
    });
  });
}

/** First part of a session id; names its worker. */
const sidPrefixOf = (worker: number): string => `${worker}.`;

const prefixed = /^([1-9]\d{0,2})\./;

/** The worker named by the `sid` of a request; undefined for the first request of a connection, which has none. */
function workerIn({ url = "" }: Pick<IncomingMessage, "url">): number | undefined {
  if (!url.includes("sid=")) return undefined;
  // If there are several, the last one, as Engine.IO parses it.
  const sid = new URLSearchParams(url.slice(url.indexOf("?") + 1)).getAll("sid").at(-1);
  const number = prefixed.exec(sid ?? "")?.[1];
  return number === undefined ? undefined : Number(number);
}

/** The server handles the socket as if it had accepted it, including the bytes that were already read. */
function acceptSocket(server: Server, handle: unknown, read: Uint8Array): void {
  const socket = socketOver(handle);
  server.emit("connection", socket);
  socket.emit("data", Buffer.from(read));
}

/** The bytes of a request as received, up to the following data. */
function bytesOf({ method, url, rawHeaders }: IncomingMessage, rest: Buffer): Buffer {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  // Node reads each byte of a head as one character.
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), rest]);
}
