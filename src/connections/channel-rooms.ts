import type { Socket } from "socket.io";
import type { Connection } from "./connection.ts";
import { closing } from "../protocol/closings.ts";

export interface ChannelRoomsDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: string) => boolean;
  isSubscribed: (connection: Connection, channel: string) => boolean;
  subscribe: (connection: Connection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: Connection, channel: string) => Promise<unknown>;
  report: (place: "room.join" | "room.leave", error: unknown, details: { channels: readonly string[] }) => void;
}

/**
 * Makes `join` and `leave` of rooms that are channels a subscription, whether an app, another node or another program asks
 * for it. A socket is prepared when it is first needed, because without an app few ever are.
 */
export class ChannelRooms {
  readonly #deps: ChannelRoomsDeps;
  readonly #prepared = new WeakSet<Socket>();

  constructor(deps: ChannelRoomsDeps) {
    this.#deps = deps;
  }

  prepare(socket: Socket, connection: Connection): void {
    if (this.#prepared.has(socket)) return;
    this.#prepared.add(socket);
    const { isChannel } = this.#deps;
    const join = socket.join.bind(socket);
    const leave = socket.leave.bind(socket);
    Object.assign(socket, {
      join: (rooms: string | string[]): Promise<void> | void => {
        const joined = join(rooms);
        const channels = [rooms].flat().filter(isChannel);
        return channels.length === 0 ? joined : this.#subscribe(connection, channels).then(() => joined);
      },
      leave: (room: string): Promise<void> | void => {
        const left = leave(room);
        return isChannel(room) ? this.#unsubscribe(connection, room).then(() => left) : left;
      },
    });
  }

  async #subscribe(connection: Connection, channels: readonly string[]): Promise<void> {
    const { isSubscribed, subscribe } = this.#deps;
    // Its client may not have answered the close yet, and nothing would end the subscription.
    if (!connection.isOpen) return;
    // A recovered connection is subscribed already.
    const missing = channels.filter((channel) => !isSubscribed(connection, channel));
    const join = (): Promise<unknown> => Promise.all(missing.map((channel) => subscribe(connection, channel)));
    await this.#perform(connection, join, (error) => this.#deps.report("room.join", error, { channels: missing }));
  }

  #unsubscribe(connection: Connection, channel: string): Promise<void> {
    const leave = (): Promise<unknown> => this.#deps.unsubscribe(connection, channel);
    return this.#perform(connection, leave, (error) => this.#deps.report("room.leave", error, { channels: [channel] }));
  }

  /** Never rejects. If it fails, the connection starts anew, because its app relies on its rooms. */
  async #perform(
    connection: Connection,
    change: () => Promise<unknown>,
    report: (error: unknown) => void,
  ): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!connection.isOpen) return;
      report(error);
      connection.close(closing("internal"));
    }
  }
}
