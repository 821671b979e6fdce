import { Socket, type Namespace, type Server } from "socket.io";
import { PacketType } from "socket.io-parser";
import { maxAttachments } from "../protocol/client-requests.ts";
import { jsonFormOf } from "../protocol/no-binary.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineSocket } from "../engine/engine-socket.ts";
import type { GatedDecoder } from "../engine/parser.ts";
import { randomId } from "../runtime/random-id.ts";
import { SmallMap } from "../runtime/small-map.ts";

/** What of Socket.IO is not in its types: looked at in this file alone, and held by a test. */
interface SocketIoParts {
  /** As the engine emitted it. */
  conn: EngineSocket;
  /** The secret session id of a client that may recover. */
  pid?: string;
  nsp: NamespaceParts;
  /** `sockets` by id, `nsps` by namespace. */
  client: { decoder: GatedDecoder; sockets: SocketsByName; nsps: SocketsByName };
  ack(id: number): (...args: unknown[]) => void;
  /** Callbacks of requested acknowledgements. */
  acks: Map<number, (...args: unknown[]) => void>;
  packet(packet: { type: PacketType; data: readonly unknown[]; id: number }): void;
  /** Receives an event. */
  onevent(packet: { data: unknown[] }): void;
  /** Answers a handshake that middleware refuses. */
  _error(error: unknown): void;
  /** Runs the socket's middleware, then its listeners. */
  dispatch(event: unknown[]): void;
}

/** What Socket.IO's `Client` uses of its two maps. */
type SocketsByName = Pick<SmallMap<string, Socket>, "get" | "set" | "delete" | "has" | "clear" | "values" | "size">;

interface NamespaceParts {
  _preConnectSockets: Map<string, Socket>;
  /** Id of the next packet that requests an acknowledgement. */
  _ids: number;
  /** Middleware, in its order. */
  _fns: Parameters<Namespace["use"]>[0][];
}

/** `bind` takes any engine like Engine.IO's; its types know that one alone. */
interface EngineSeam {
  bind(engine: Engine): void;
}

/** The only way into what Socket.IO does not export. */
function partsOf(of: Socket): SocketIoParts;
function partsOf(of: Namespace): NamespaceParts;
function partsOf(of: Server): EngineSeam;
function partsOf(of: object): object {
  return of;
}

export const bindEngine = (io: Server, engine: Engine): void => partsOf(io).bind(engine);

/** Adds a middleware before those that a dynamic namespace has from its parent. */
export function useFirst(namespace: Namespace, middleware: Parameters<Namespace["use"]>[0]): void {
  partsOf(namespace)._fns.unshift(middleware);
}

export const engineSocketOf = (socket: Socket): EngineSocket => partsOf(socket).conn;

/** Whether the client of the socket is entering the main namespace, or has. */
export const isEnteringMain = (socket: Socket): boolean => partsOf(socket).client.decoder.isEntering;

export const refusedMain = (socket: Socket): void => void (partsOf(socket).client.decoder.isEntering = false);

/** A namespace that refuses the socket does not count among those that its client has entered, once `later` calls back. */
export function forgetIfRefused(socket: Socket, later: (forget: () => void) => void): void {
  const parts = partsOf(socket);
  const { decoder } = parts.client;
  const answer = parts._error.bind(socket);
  parts._error = (error) => {
    later(() => decoder.refusedForeign());
    answer(error);
  };
}

/** The result makes `refused` run before middleware's refusal of a socket of the main namespace is answered. */
export function beforeRefusal(refused: (socket: Socket) => void): (socket: Socket) => void {
  // One function for all sockets, to save the memory of a closure per connection.
  const answer = function (this: Socket, error: unknown): void {
    refused(this);
    partsOf(Socket.prototype)._error.call(this, error);
  };
  return (socket) => void (partsOf(socket)._error = answer);
}

/** From now on another CONNECT is a fault. Socket.IO itself would close the transport without a reason. */
export const refuseConnects = (socket: Socket): void => void (partsOf(socket).client.decoder.isConnected = true);

/** Socket.IO's secret session id, which a client presents to recover. */
export const privateIdOf = (socket: Socket): string | undefined => partsOf(socket).pid;

/** Shows an event to the middleware alone; Socket.IO shows it to the listeners of any event before. */
export const hideFromAnyListeners = (socket: Socket): void => void (partsOf(socket).onevent = dispatchOnly);

function dispatchOnly(this: SocketIoParts, { data }: { data: unknown[] }): void {
  this.dispatch(data);
}

/** Acknowledges a client's packet with arguments that may contain binary. Throws if they cannot be sent. */
export function acknowledge(socket: Socket, id: number, args: readonly unknown[]): void {
  hasBinary(args);
  partsOf(socket).ack(id)(...args);
}

/** Whether Socket.IO would send attachments. Throws TypeError for more than stock clients accept: they would disconnect. */
export function hasBinary(args: readonly unknown[]): boolean {
  const count = countAttachments(args, []);
  if (count > maxAttachments)
    throw new TypeError(`an event or an acknowledgement can have at most ${maxAttachments} binary values`);
  return count > 0;
}

/** `ancestors`: the objects that contain the value. Throws TypeError for a circular value, as JSON would. */
function countAttachments(value: unknown, ancestors: object[]): number {
  if (typeof value !== "object" || value === null) return 0;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 1;
  if (ancestors.includes(value)) throw new TypeError("a circular structure cannot be sent");
  ancestors.push(value);
  let count = 0;
  for (const item of Object.values(jsonFormOf(value) ?? {})) count += countAttachments(item, ancestors);
  ancestors.pop();
  return count;
}

/** Turns a socket that Socket.IO is about to recover into a new one, before anything is sent to the client. */
export function startNewSession(socket: Socket): void {
  const { _preConnectSockets: waiting } = partsOf(socket).nsp;
  waiting.delete(socket.id);
  const id = randomId();
  Object.assign(socket, { id, pid: randomId(), recovered: false, data: {} });
  waiting.set(id, socket);
}

/** A socket whose client left before it was connected: the client's next socket has its id. */
export function freeId(socket: Socket): void {
  const { _preConnectSockets: waiting } = partsOf(socket).nsp;
  if (waiting.get(socket.id) === socket) waiting.delete(socket.id);
  socket.nsp.adapter.delAll(socket.id);
  Object.assign(socket, { id: randomId() });
}

/** Tells the app that it has to set up the socket as a new one, although its client is recovered. */
export const reportUnrestored = (socket: Socket): void => void Object.assign(socket, { recovered: false });

/** Returns the id for a packet that requests an acknowledgement; `onAnswer` is called at most once. */
export function expectAcknowledgement(socket: Socket, onAnswer: (...args: unknown[]) => void): number {
  allowAcknowledgement(socket);
  const parts = partsOf(socket);
  const id = parts.nsp._ids++;
  parts.acks.set(id, onAnswer);
  return id;
}

/** The client may send one more acknowledgement. */
export function allowAcknowledgement(socket: Socket): void {
  const parts = partsOf(socket);
  if (parts.acks === noAcks) parts.acks = new Map();
  parts.client.decoder.acknowledgementsDue += 1;
}

/** Id of the next packet of a namespace that requests an acknowledgement. */
export const nextPacketIdOf = (namespace: Namespace): number => partsOf(namespace)._ids;

/** A late acknowledgement of this packet is ignored. */
export const forgetAcknowledgement = (socket: Socket, id: number): void => void partsOf(socket).acks.delete(id);

/** Sends an event with attachments that requests an acknowledgement. */
export const sendBinaryRequest = (socket: Socket, id: number, data: readonly unknown[]): void =>
  partsOf(socket).packet({ type: PacketType.EVENT, data, id });

/** Of all namespaces that the client has entered. */
export const socketsOfClient = (socket: Socket): Iterable<Socket> => partsOf(socket).client.sockets.values();

/** Replaces the two maps of a client that has connected, which take 1.3 kB for one socket. */
export function shrinkClient(socket: Socket): void {
  const { client } = partsOf(socket);
  const [sockets, nsps] = [new SmallMap<string, Socket>(), new SmallMap<string, Socket>()];
  for (const each of client.sockets.values()) {
    sockets.set(each.id, each);
    nsps.set(each.nsp.name, each);
  }
  client.sockets = sockets;
  client.nsps = nsps;
}

/**
 * Removes the token and the request after authentication, from memory and from what other nodes may query. Removes the
 * table of acknowledgements too; most clients are never asked for any.
 */
export function forgetRequest(socket: Socket): void {
  const { handshake } = socket;
  handshake.auth = handshake.headers = handshake.query = nothing;
  handshake.url = handshake.time = "";
  engineSocketOf(socket).request = null;
  partsOf(socket).acks = noAcks;
}

/** Shared by sockets that were not asked for an acknowledgement, and stays empty. */
class NoAcks extends Map {
  override set(): this {
    return this;
  }
}

const noAcks = new NoAcks();

/**
 * For an app, which may read its socket's handshake: keeps credentials out of what `fetchSockets` of other nodes and programs
 * is answered.
 */
export function hideCredentials({ handshake }: Socket): void {
  hide(handshake.auth, "token");
  for (const name of ["authorization", "cookie"]) hide(handshake.headers, name);
}

function hide(fields: object, name: string): void {
  const property = Object.getOwnPropertyDescriptor(fields, name);
  if (property !== undefined) Object.defineProperty(fields, name, { ...property, enumerable: false });
}

const nothing = Object.freeze({});
