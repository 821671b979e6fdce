import { Adapter } from "socket.io-adapter";
import type { Namespace, ServerOptions } from "socket.io";

/** What an app emits to a room that is a channel. */
export interface AppPublication {
  channel: string;
  event: string;
  data: {} | null;
  /** Connections, and users as `user:{userId}`, that do not receive it: for `socket.to`, the sender. */
  except?: string[];
  /** Of a volatile event. */
  ephemeral?: true;
}

export interface AppAdapterDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: string) => boolean;
  /** Publishes to a channel; errors are handled. */
  publish: (publication: AppPublication) => void;
  /** An event has several arguments, which are one list in a publication. */
  severalArguments: (channel: string, event: string) => void;
  /** Rooms were to be left out of a publication, which is kept only from connections and users. */
  notExcepted: (channel: string, rooms: string[]) => void;
}

type BroadcastOptions = Parameters<Adapter["broadcast"]>[1];

interface EventPacket {
  id?: number;
  data?: unknown[];
}

/**
 * Extends an adapter for an app: an event to a room that is a channel becomes a publication, in order, logged and
 * recoverable. Every other room is live, as in Socket.IO. An event to one socket of this node does not leave the node.
 */
export function createAppAdapter(make: ServerOptions["adapter"], deps: AppAdapterDeps): ServerOptions["adapter"] {
  const Base = (make ?? Adapter) as new (namespace: Namespace) => Adapter;
  // Socket.IO calls it with `new`, so it cannot be an arrow function.
  return function (namespace: Namespace) {
    const adapter = new Base(namespace);
    const broadcast = adapter.broadcast.bind(adapter);
    return Object.assign(adapter, {
      broadcast(packet: EventPacket, options: BroadcastOptions): void {
        const live = namespace.name === "/" ? withoutChannels(packet, options, deps, namespace) : options;
        if (live.rooms.size === 0 && options.rooms.size > 0) return;
        broadcast(packet, { ...live, flags: { ...options.flags, ...localFlag(namespace, live.rooms) } });
      },
    });
  };
}

/** Publishes to the rooms that are channels. The others are left, without the sockets that receive a publication. */
function withoutChannels(
  packet: EventPacket,
  options: BroadcastOptions,
  deps: AppAdapterDeps,
  namespace: Namespace,
): BroadcastOptions {
  const { rooms, except = [] } = options;
  if (packet.id !== undefined) return options;
  const channels = [...rooms].filter(deps.isChannel);
  if (channels.length === 0) return options;
  const exceptedRooms = [...except].filter((name) => isRoomOfMany(namespace, name));
  for (const channel of channels) {
    const publication = publicationOf(channel, packet, options);
    deps.publish(publication);
    if ((packet.data?.length ?? 0) > 2) deps.severalArguments(channel, publication.event);
    if (exceptedRooms.length > 0) deps.notExcepted(channel, exceptedRooms);
  }
  const others = [...rooms].filter((room) => !channels.includes(room));
  return { ...options, rooms: new Set(others), except: new Set([...except, ...channels]) };
}

/** Known of the rooms of this node: neither the one of a connection nor that of a user. */
const isRoomOfMany = ({ adapter, sockets }: Namespace, name: string): boolean =>
  adapter.rooms.has(name) && !sockets.has(name) && !userRoom.test(name);

/** A pattern, because the name of a room may be a number. */
const userRoom = /^user:./;

function publicationOf(
  channel: string,
  { data = [] }: EventPacket,
  { except = new Set(), flags }: BroadcastOptions,
): AppPublication {
  const [event, ...args] = data;
  return {
    channel,
    event: String(event),
    data: args.length <= 1 ? ((args[0] as object | undefined) ?? null) : args,
    ...(except.size > 0 && { except: [...except] }),
    ...(flags?.volatile === true && { ephemeral: true }),
  };
}

/** With connection state recovery, Socket.IO sends even `socket.emit` as a broadcast, to the room of that socket. */
function localFlag(namespace: Namespace, rooms: ReadonlySet<string>): { local?: true } {
  const [room = ""] = rooms;
  return rooms.size === 1 && namespace.sockets.has(room) ? { local: true } : {};
}
