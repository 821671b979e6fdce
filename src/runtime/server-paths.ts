import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export interface PathHandlers {
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Called for upgrades of other paths; `mayBeAccepted`: by a listener of the application. */
  otherUpgrade?(socket: Duplex, mayBeAccepted: boolean): void;
}

type Listener = (request: IncomingMessage, ...rest: unknown[]) => void;

const watching = new WeakSet<Listener>();

/** Calls `listener` first for each request or upgrade. It only watches: nothing is answered or accepted by it. */
export function watch(server: Server, event: "request" | "upgrade", listener: (...args: never[]) => void): void {
  watching.add(listener as Listener);
  server.prependListener(event, listener as Listener);
}

/**
 * Handles all paths with this prefix in front of the listeners that the server has, which keep all others. Returns a function
 * that gives the paths back to them.
 */
export function takePaths(server: Server, prefix: string, handlers: PathHandlers): () => void {
  const { request, upgrade, otherUpgrade } = handlers;
  const giveBack = [take(server, "request", { prefix, handle: request })];
  if (upgrade !== undefined) giveBack.push(take(server, "upgrade", { prefix, handle: upgrade, other: otherUpgrade }));
  return () => giveBack.forEach((each) => each());
}

/** Puts `accepts` in front of the listeners that the server has; a request that it answers itself goes no further. */
export function screen(server: Server, accepts: (request: IncomingMessage, response: ServerResponse) => boolean): void {
  const others = server.listeners("request") as Listener[];
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    if (accepts(request, response)) for (const listen of others) listen.call(server, request, response);
  });
}

interface Taken {
  prefix: string;
  /** Of a request with its response, or of an upgrade with its socket and first bytes. */
  handle(request: IncomingMessage, ...rest: unknown[]): void;
  other?: PathHandlers["otherUpgrade"] | undefined;
}

function take(server: Server, event: "request" | "upgrade", { prefix, other, ...taken }: Taken): () => void {
  const others = server.listeners(event) as Listener[];
  server.removeAllListeners(event);
  let isTaken = true;
  const mayAccept = (each: unknown): boolean => each !== listener && !watching.has(each as Listener);
  const listener: Listener = (request, ...rest) => {
    if (isTaken && request.url?.startsWith(prefix) === true) return taken.handle(request, ...rest);
    for (const listen of others) listen.call(server, request, ...rest);
    if (isTaken) other?.(rest[0] as Duplex, [...others, ...server.listeners(event)].some(mayAccept));
  };
  server.on(event, listener);
  return () => {
    isTaken = false;
    // Without a listener, Node handles an upgrade as a request.
    if (others.length === 0) server.off(event, listener);
  };
}
