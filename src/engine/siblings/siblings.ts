import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { detachHandle, type NetHandle } from "../../runtime/net-handle.ts";
import { acceptSocket, bytesOf } from "./handover.ts";
import { createRelay } from "./relay.ts";
import { markOf, workerIn } from "./sid.ts";

/** Where a node stands among those that listen on the same port, and its way to them. */
export interface SiblingsDeps {
  /** This one's number, from 1. */
  worker: number;
  /** How many there are. */
  count: number;
  /** Where each listens for the others. Nobody else may enter it. */
  folder: string;
  /** Gives a line, and what was read from it, to another. Rejects where it was not taken; it is closed then. */
  passLine(to: number, handle: NetHandle, read: Buffer): Promise<void>;
  /** Calls `listener` with each line that another passes here. */
  onLine(listener: (handle: unknown, read: Uint8Array) => void): void;
}

/**
 * Nodes behind one port: any of them may get any request of a client. What belongs to no connection yet is answered by
 * whoever gets it. A request of a connection names its worker by its `sid`: where that is another, a polling request is
 * relayed to it, and an upgrade to WebSocket given to it together with its line, so that nobody stands in between
 * afterwards.
 */
export interface Siblings {
  /** Goes before the id of each connection made here. */
  readonly mark: string;
  /** False where it is this node's own. `otherwise` runs where the sibling does not answer. */
  takesRequest(request: IncomingMessage, response: ServerResponse, otherwise: () => void): boolean;
  takesUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** From now on `server` gets what siblings pass. */
  start(server: Server): Promise<void>;
  stop(): Promise<void>;
}

/** Lines on their way to siblings; one more is not passed, and its client stays with polling. */
const mostOnTheirWay = 1_000;

export function createSiblings(deps: SiblingsDeps): Siblings {
  const { worker, count, folder } = deps;
  const relay = createRelay();
  const pathOf = (number: number): string => join(folder, `${number}`);
  // Idle connections are for the siblings to end. A head that was just small enough for them may have grown a little.
  const door = createServer({ keepAliveTimeout: 0, maxHeaderSize: 32_768 });
  let onTheirWay = 0;

  function siblingIn(request: IncomingMessage): number | undefined {
    const number = workerIn(request);
    return number === undefined || number === worker || number > count ? undefined : number;
  }

  async function pass(to: number, handle: NetHandle, read: Buffer): Promise<void> {
    onTheirWay++;
    // Not taken: the client sees its attempt to upgrade fail, and stays with polling.
    await deps.passLine(to, handle, read).catch(() => undefined);
    onTheirWay--;
  }

  return {
    mark: markOf(worker),
    takesRequest(request, response, otherwise) {
      const to = siblingIn(request);
      if (to !== undefined) relay.pass(pathOf(to), request, response, otherwise);
      return to !== undefined;
    },
    takesUpgrade(request, socket, head) {
      const to = siblingIn(request);
      const handle = to === undefined || onTheirWay >= mostOnTheirWay ? undefined : detachHandle(socket);
      if (to === undefined || handle === undefined) return false;
      void pass(to, handle, bytesOf(request, head));
      return true;
    },
    async start(server) {
      door.on("request", (request, response) => enter(server, worker, request, response));
      deps.onLine((handle, read) => acceptSocket(server, handle, read));
      await listenAt(door, pathOf(worker));
    },
    stop() {
      relay.stop();
      door.closeAllConnections();
      return new Promise((resolve) => door.close(() => resolve()));
    },
  };
}

/** Through the siblings' door comes nothing but requests of this node's connections: the peer's address is not known here. */
function enter(server: Server, worker: number, request: IncomingMessage, response: ServerResponse): void {
  const isOwn = request.url?.startsWith("/socket.io/") === true && workerIn(request) === worker;
  if (isOwn) server.emit("request", request, response);
  else response.writeHead(421).end();
}

/** A worker of the same number that was killed has left its socket behind. */
async function listenAt(door: Server, path: string): Promise<void> {
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    door.once("error", reject);
    // Not shared with the siblings, as a worker's servers otherwise are.
    door.listen({ path, exclusive: true }, () => {
      door.off("error", reject);
      resolve();
    });
  });
}
