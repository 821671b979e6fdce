import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as connectSecurely } from "node:tls";

/**
 * Opens the connections of one virtual client. Each goes to the next address, as behind a load balancer, and can be cut
 * or paused from outside, whichever client uses it. An unmodified Socket.IO client knows one address only; used as its
 * HTTP agent, a dialer gives it the others.
 */
export class Dialer {
  readonly #addresses: readonly URL[];
  #next: number;
  #socket: Socket | undefined;

  constructor(addresses: readonly URL[], first: number) {
    this.#addresses = addresses;
    this.#next = first;
  }

  /** Address of the next connection. */
  get address(): URL {
    return this.#addresses[this.#next % this.#addresses.length] as URL;
  }

  readonly dial = (): Socket => {
    const { protocol, hostname, port } = this.address;
    this.#next += 1;
    const isSecure = protocol === "https:";
    const host = hostname.replace(/^\[|\]$/g, "");
    const where = { host, port: Number(port) || (isSecure ? 443 : 80) };
    const socket = isSecure ? connectSecurely({ ...where, servername: host }) : connect(where);
    socket.setNoDelay(true);
    return (this.#socket = socket);
  };

  /** For clients that accept only an agent: it pools nothing and dials for each request. */
  #agent(): Agent {
    const agent = this.address.protocol === "https:" ? new SecureAgent() : new Agent();
    return Object.assign(agent, { createConnection: this.dial });
  }

  /** Socket.IO's options with an agent; its types, made for browsers, have no place for one. */
  withAgent<Options extends object>(options: Options): Options {
    return Object.assign(options, { agent: this.#agent() });
  }

  /** Drops the connection without a close frame, as a network failure does. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** Reads nothing until `resumeReading`, so that the server's send queue for this client grows. */
  pauseReading(): void {
    this.#socket?.pause();
  }

  resumeReading(): void {
    if (this.#socket?.isPaused() === true) this.#socket.resume();
  }
}
