import type { Server, Socket } from "socket.io";
import type { Engine } from "../engine/engine.ts";
import type { EngineSocket } from "../engine/engine-socket.ts";
import type { GatedDecoder } from "../engine/parser.ts";
import { randomId } from "../runtime/random-id.ts";

/** What of Socket.IO is not in its types: looked at in this file alone, and held by a test. */
interface SocketIoParts {
  /** As the engine emitted it. */
  conn: EngineSocket;
  /** The secret session id of a client that may recover. */
  pid?: string;
  nsp: { _preConnectSockets: Map<string, Socket> };
  client: { decoder: GatedDecoder };
  ack(id: number): (...args: unknown[]) => void;
}

/** `bind` takes any engine like Engine.IO's; its types know that one alone. */
interface EngineSeam {
  bind(engine: Engine): void;
}

const partsOf = (socket: Socket): SocketIoParts => socket as unknown as SocketIoParts;

export function bindEngine(io: Server, engine: Engine): void {
  (io as unknown as EngineSeam).bind(engine);
}

export const engineSocketOf = (socket: Socket): EngineSocket => partsOf(socket).conn;

/** From now on another CONNECT is a fault. Socket.IO itself would close the transport without a reason. */
export const refuseConnects = (socket: Socket): void => void (partsOf(socket).client.decoder.isConnected = true);

/** Socket.IO's secret session id, which a client presents to recover. */
export const privateIdOf = (socket: Socket): string | undefined => partsOf(socket).pid;

/** The acknowledgement of a client's packet, as Socket.IO passes it to listeners. */
export const acknowledgementOf = (socket: Socket, id: number): ((...args: unknown[]) => void) =>
  partsOf(socket).ack(id);

/** Acknowledges a client's packet with arguments that may contain binary. */
export const acknowledge = (socket: Socket, id: number, args: readonly unknown[]): void =>
  partsOf(socket).ack(id)(...args);

/** Whether Socket.IO would send attachments. */
export function hasBinary(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return true;
  return Object.values(value).some(hasBinary);
}

/** Turns a socket that Socket.IO is about to recover into a new one, before anything is sent to the client. */
export function startNewSession(socket: Socket): void {
  const { _preConnectSockets: waiting } = partsOf(socket).nsp;
  waiting.delete(socket.id);
  const id = randomId();
  Object.assign(socket, { id, pid: randomId(), recovered: false, data: {} });
  waiting.set(id, socket);
}

/**
 * Removes the token and the request after authentication, from memory and from what other nodes may query. Removes the
 * table of acknowledgements too, because clients do not send any (`parser.ts`).
 */
export function forgetRequest(socket: Socket): void {
  Object.assign(socket.handshake, { auth: nothing, headers: nothing, query: nothing, url: "", time: "" });
  engineSocketOf(socket).request = null;
  Object.assign(socket, { acks: noAcks });
}

/** Stays empty: the server requests no acknowledgements. */
class NoAcks extends Map {
  override set(): this {
    return this;
  }
}

const noAcks = new NoAcks();

const nothing = Object.freeze({});
