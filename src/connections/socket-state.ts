import type { Socket } from "socket.io";
import { fieldPath } from "../protocol/field-path.ts";
import type { Room } from "./adapter-parser.ts";

/** What an app has given to a socket: what Socket.IO's connection state recovery restores besides the subscriptions. */
export interface SocketState {
  /** Those that are no channel, and not the socket's own. */
  rooms: Room[];
  /** Without `user`, which each authentication sets. */
  data: Record<string, unknown>;
}

/** Max bytes of a recorded state, max rooms in it, and max levels of its data. */
const maxBytes = 16_384;
const maxRooms = 256;
const maxDepth = 32;

/** Recorded in place of a state that cannot be. */
const unstorable = "unstorable";

/** As a state is recorded; `problem`: why it could not be. */
export interface RecordedState {
  /** Empty if there is nothing to record. */
  text: string;
  problem?: string;
}

/** Whether an app has set data, or another object in place of it. */
export function hasData(data: unknown): boolean {
  if (!isRecord(data)) return true;
  for (const key in data) if (key !== "user") return true;
  return false;
}

/** Data that JSON would change is refused, because an app would get back something else than it has set. */
export function recordedStateOf(rooms: readonly unknown[], data: unknown): RecordedState {
  if (rooms.length === 0 && !hasData(data)) return { text: "" };
  try {
    return { text: textOf(rooms, data) };
  } catch (error) {
    return { text: unstorable, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Undefined if the state could not be recorded. */
export function stateOf(text: string): SocketState | undefined {
  if (text === unstorable) return undefined;
  return JSON.parse(text) as SocketState;
}

function textOf(rooms: readonly unknown[], data: unknown): string {
  if (rooms.length > maxRooms) throw new RangeError(`more than ${maxRooms} rooms`);
  const check = new JsonCheck();
  for (const room of rooms) check.room(room);
  if (!isRecord(data)) throw new TypeError("data is not a plain object");
  check.value(data, "data");
  const own = Object.entries(data).filter(([key]) => key !== "user");
  const text = JSON.stringify({ rooms, data: Object.fromEntries(own) });
  if (Buffer.byteLength(text) > maxBytes) throw tooLarge();
  return text;
}

const tooLarge = (): RangeError => new RangeError(`more than ${maxBytes} bytes of JSON`);

/** Throws for what JSON would change. Looks at little more than may be recorded. */
class JsonCheck {
  #left = maxBytes;
  readonly #path: (string | number)[] = [];

  room(room: unknown): void {
    if (typeof room === "object") throw new TypeError("a room is an object");
    this.value(room, "rooms");
  }

  value(value: unknown, at: string): void {
    this.#count(1);
    if (typeof value === "string") this.#count(value.length);
    else if (typeof value === "object" && value !== null) this.#object(value, at);
    else if (!isJsonScalar(value)) throw this.#wrong(at, nameOf(value));
  }

  #object(value: object, at: string): void {
    if (this.#path.length >= maxDepth) throw this.#wrong(at, "nested too deeply, or circular");
    const isList = Array.isArray(value);
    if (isList) this.#count(value.length);
    if (!isPlain(value)) throw this.#wrong(at, nameOf(value));
    for (const [key, item] of Object.entries(value)) {
      const isLeftOut = (item === undefined && !isList) || (key === "user" && this.#path.length === 0);
      if (isLeftOut) continue;
      this.#count(key.length);
      this.#path.push(isList ? Number(key) : key);
      this.value(item, at);
      this.#path.pop();
    }
  }

  #count(size: number): void {
    if ((this.#left -= size) < 0) throw tooLarge();
  }

  #wrong(at: string, what: string): TypeError {
    return new TypeError(`${fieldPath(this.#path, at)} is not JSON: ${what}`);
  }
}

const isJsonScalar = (value: unknown): boolean =>
  value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));

function isPlain(value: object): boolean {
  if (Object.getOwnPropertySymbols(value).length > 0) return false;
  if (!Array.isArray(value)) return isRecord(value);
  // Neither holes nor further properties.
  return Object.getPrototypeOf(value) === Array.prototype && Object.keys(value).length === value.length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const nameOf = (value: unknown): string =>
  typeof value === "object" ? (value?.constructor?.name ?? "object") : typeof value;

/** Of sockets that have left them all because they are disconnected. */
const leftRooms = new WeakMap<Socket, readonly Room[]>();

/** The socket is about to leave its rooms. */
export const rememberRooms = (socket: Socket, rooms: readonly Room[]): void => void leftRooms.set(socket, rooms);

/** Those of a disconnected socket are the ones it was in at last. Undefined if that is unknown, as before it is connected. */
export function roomsOf(socket: Socket): Iterable<Room> | undefined {
  const { nsp, id } = socket;
  // A socket that was recovered since has the same id.
  return leftRooms.get(socket) ?? (nsp.sockets.get(id) === socket ? nsp.adapter.sids.get(id) : undefined);
}
