import { Adapter } from "socket.io-adapter";
import type { Namespace, ServerOptions } from "socket.io";

export interface AppAdapterDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: string) => boolean;
  /** Publishes to a channel; errors are handled. */
  publish: (channel: string, event: string, data: {} | null) => void;
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
        const rooms = namespace.name === "/" ? withoutChannels(packet, options, deps) : options.rooms;
        if (rooms.size === 0 && options.rooms.size > 0) return;
        broadcast(packet, { ...options, rooms, flags: { ...options.flags, ...localFlag(namespace, rooms) } });
      },
    });
  };
}

function withoutChannels(
  { id, data = [] }: EventPacket,
  { rooms }: BroadcastOptions,
  deps: AppAdapterDeps,
): Set<string> {
  if (id !== undefined) return rooms;
  const channels = [...rooms].filter(deps.isChannel);
  const [event, ...args] = data;
  for (const channel of channels)
    deps.publish(channel, String(event), args.length <= 1 ? ((args[0] as object | undefined) ?? null) : args);
  return new Set([...rooms].filter((room) => !channels.includes(room)));
}

/** With connection state recovery, Socket.IO sends even `socket.emit` as a broadcast, to the room of that socket. */
function localFlag(namespace: Namespace, rooms: ReadonlySet<string>): { local?: true } {
  const [room = ""] = rooms;
  return rooms.size === 1 && namespace.sockets.has(room) ? { local: true } : {};
}
