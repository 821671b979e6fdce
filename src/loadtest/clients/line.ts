import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as connectSecurely } from "node:tls";

/**
 * What lies between a virtual client and the house: each connection goes to the next of the addresses, as behind a load
 * balancer, and can be cut or clogged from outside, whatever client speaks on it. An unmodified Socket.IO client knows
 * one address only; as an HTTP agent a line gives it the others without touching it.
 */
export class Line {
  readonly #addresses: readonly URL[];
  #next: number;
  #socket: Socket | undefined;

  constructor(addresses: readonly URL[], first: number) {
    this.#addresses = addresses;
    this.#next = first;
  }

  /** Where the next connection goes. */
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

  /** For clients that take no dialler: an agent that keeps nothing and dials for each request. */
  agent(): Agent {
    const agent = this.address.protocol === "https:" ? new SecureAgent() : new Agent();
    return Object.assign(agent, { createConnection: this.dial });
  }

  /** Without a goodbye, as when a network goes. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** Reads nothing until `flow`: the house's queue for this client grows. */
  clog(): void {
    this.#socket?.pause();
  }

  flow(): void {
    if (this.#socket?.isPaused() === true) this.#socket.resume();
  }
}
