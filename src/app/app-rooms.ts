import type { Socket } from "socket.io";
import type { Connection } from "../connections/connection.ts";
import { closing } from "../protocol/closings.ts";

export interface AppRoomsDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: string) => boolean;
  isSubscribed: (connection: Connection, channel: string) => boolean;
  subscribe: (connection: Connection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: Connection, channel: string) => Promise<unknown>;
  report: (place: "app.join", error: unknown) => void;
}

/** Makes `join` and `leave` of rooms that are channels a subscription, also if another node asks for it. */
export class AppRooms {
  readonly #deps: AppRoomsDeps;

  constructor(deps: AppRoomsDeps) {
    this.#deps = deps;
  }

  prepare(socket: Socket, connection: Connection): void {
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
    // A recovered connection is subscribed already.
    const missing = channels.filter((channel) => !isSubscribed(connection, channel));
    await this.#perform(connection, () => Promise.all(missing.map((channel) => subscribe(connection, channel))));
  }

  #unsubscribe(connection: Connection, channel: string): Promise<void> {
    return this.#perform(connection, () => this.#deps.unsubscribe(connection, channel));
  }

  /** Never rejects. If it fails, the connection starts anew, because its app relies on its rooms. */
  async #perform(connection: Connection, change: () => Promise<unknown>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!connection.isOpen) return;
      this.#deps.report("app.join", error);
      connection.close(closing("internal"));
    }
  }
}
