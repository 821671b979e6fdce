import type { Socket } from "socket.io";
import type { Connection } from "./connection.ts";
import { closing } from "../protocol/closings.ts";
import { GatewayError, isTemporary } from "../protocol/errors.ts";

export interface ChannelRoomsDeps {
  /** Whether a room is named as a channel of a configured kind. */
  isChannel: (room: string) => boolean;
  isSubscribed: (connection: Connection, channel: string) => boolean;
  subscribe: (connection: Connection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: Connection, channel: string) => Promise<unknown>;
  report: (place: "room.join" | "room.leave", error: unknown, details: { channel: string }) => void;
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
        if (channels.length === 0) return joined;
        const subscribed = this.#subscribeAll(connection, channels, leave).then(() => joined);
        // An app that does not await it must not end by it: the log tells.
        subscribed.catch(() => undefined);
        return subscribed;
      },
      leave: (room: string): Promise<void> | void => {
        const left = leave(room);
        return isChannel(room) ? this.#unsubscribe(connection, room).then(() => left) : left;
      },
    });
  }

  /** Rejects if a channel is refused; its room is left then. */
  async #subscribeAll(
    connection: Connection,
    channels: readonly string[],
    leave: (room: string) => unknown,
  ): Promise<void> {
    // Its client may not have answered the close yet, and nothing would end the subscription.
    if (!connection.isOpen) return;
    // A recovered connection is subscribed already.
    const missing = channels.filter((channel) => !this.#deps.isSubscribed(connection, channel));
    await Promise.all(missing.map((channel) => this.#subscribe(connection, channel, leave)));
  }

  async #subscribe(connection: Connection, channel: string, leave: (room: string) => unknown): Promise<void> {
    try {
      await this.#deps.subscribe(connection, channel);
    } catch (error) {
      if (!isRefusal(error)) return this.#failed(connection, "room.join", error, channel);
      if (connection.isOpen) this.#deps.report("room.join", error, { channel });
      leave(channel);
      throw error;
    }
  }

  async #unsubscribe(connection: Connection, channel: string): Promise<void> {
    try {
      await this.#deps.unsubscribe(connection, channel);
    } catch (error) {
      this.#failed(connection, "room.leave", error, channel);
    }
  }

  /** The connection starts anew, because its app relies on its rooms. */
  #failed(connection: Connection, place: "room.join" | "room.leave", error: unknown, channel: string): void {
    if (!connection.isOpen) return;
    this.#deps.report(place, error, { channel });
    connection.close(closing("internal"));
  }
}

/** Whether joining again would be answered alike. */
const isRefusal = (error: unknown): error is GatewayError => error instanceof GatewayError && !isTemporary(error.code);
