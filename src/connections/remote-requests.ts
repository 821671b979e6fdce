import type { Namespace, Socket } from "socket.io";
import type { Clock } from "../runtime/clock.ts";
import type { ControlRequest, Room } from "./adapter-parser.ts";
import { allowAcknowledgement, forgetAcknowledgement, nextPacketIdOf } from "./socket-io.ts";

export interface RemoteRequestsDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: Room) => boolean;
  /** Called before a socket joins or leaves a room that is a channel; repeated calls are harmless. */
  prepareRooms: (socket: Socket) => void;
  clock: Pick<Clock, "after">;
}

const join = 2;
const leave = 3;
const broadcastWithAck = 7;

/** Max milliseconds that clients may take to acknowledge an event of another program. */
const maxTimeoutMs = 60_000;

/**
 * What the gateway adds to requests of other nodes and programs before the stock adapter performs them: a room that is a
 * channel is subscribed to, and sockets may acknowledge.
 */
export class RemoteRequests {
  readonly #deps: RemoteRequestsDeps;

  constructor(deps: RemoteRequestsDeps) {
    this.#deps = deps;
  }

  perform(namespace: Namespace, request: ControlRequest, run: () => void): void {
    const { isChannel, prepareRooms } = this.#deps;
    if (request.type === broadcastWithAck) return this.#askSockets(namespace, request, run);
    const isMain = namespace.name === "/";
    if (isMain && (request.type === join || request.type === leave) && request.rooms.some(isChannel))
      for (const socket of socketsIn(namespace, request.opts)) prepareRooms(socket);
    run();
  }

  /** The stock adapter would keep what clients do not acknowledge. */
  #askSockets(
    namespace: Namespace,
    { opts }: Extract<ControlRequest, { type: typeof broadcastWithAck }>,
    run: () => void,
  ): void {
    const sockets = socketsIn(namespace, opts);
    const id = nextPacketIdOf(namespace);
    for (const socket of sockets) allowAcknowledgement(socket);
    run();
    // A node ignores its own request.
    if (nextPacketIdOf(namespace) === id) return;
    const timeoutMs = Math.min(opts.flags?.timeout ?? maxTimeoutMs, maxTimeoutMs);
    this.#deps.clock.after(timeoutMs, () => {
      for (const socket of sockets) forgetAcknowledgement(socket, id);
    });
  }
}

interface Selection {
  rooms: readonly Room[];
  except: readonly Room[];
}

function socketsIn({ adapter, sockets }: Namespace, { rooms, except }: Selection): Socket[] {
  const members: ReadonlyMap<Room, ReadonlySet<string>> = adapter.rooms;
  const idsOf = (names: readonly Room[]): Set<string> =>
    new Set(names.flatMap((room) => [...(members.get(room) ?? [])]));
  const excluded = idsOf(except);
  const ids = rooms.length === 0 ? sockets.keys() : idsOf(rooms).values();
  return [...ids].flatMap((id) => (excluded.has(id) ? [] : (sockets.get(id) ?? [])));
}
