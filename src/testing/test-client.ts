import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";

/** What a client has received: the event's name and its arguments. */
export type ReceivedEvent = [event: string, ...args: unknown[]];

export type TestClientOptions = Partial<ManagerOptions & SocketOptions>;

interface Waiting {
  event: string;
  resolve: (argument: never) => void;
}

const defaultTimeoutMs = 5_000;

/** A stock Socket.IO client that remembers what it received, so that a test waits for an event and misses none. */
export class TestClient {
  /** Socket.IO's client. */
  readonly socket: Socket;
  /** Everything received so far, in order. */
  readonly received: ReceivedEvent[] = [];
  readonly #unread: ReceivedEvent[] = [];
  readonly #waiting: Waiting[] = [];

  constructor(url: string, token: string, options: TestClientOptions = {}) {
    this.socket = io(url, { transports: ["websocket"], forceNew: true, auth: { token }, ...options });
    this.socket.onAny((...received: ReceivedEvent) => this.#receive(received));
    for (const event of ["connect_error", "disconnect"] as const)
      this.socket.on(event, (reason: unknown) => this.#receive([event, reason]));
  }

  /**
   * Resolves with the first argument of the next event of this name that no `next` has returned yet, also if it has arrived
   * already. `connect_error` and `disconnect` are events too. Rejects after `timeoutMs`, and says what came instead.
   */
  next<T = Record<string, unknown>>(event: string, { timeoutMs = defaultTimeoutMs } = {}): Promise<T> {
    const index = this.#unread.findIndex(([name]) => name === event);
    if (index !== -1) return Promise.resolve(this.#unread.splice(index, 1)[0]?.[1] as T);
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(new Error(`no ${event} within ${timeoutMs} ms; unread: ${this.#names() || "nothing"}`));
      };
      const timer = setTimeout(fail, timeoutMs);
      const waiting: Waiting = {
        event,
        resolve(argument) {
          clearTimeout(timer);
          resolve(argument);
        },
      };
      this.#waiting.push(waiting);
    });
  }

  /** Arguments of all events of this name so far. */
  all(event: string): unknown[][] {
    return this.received.filter(([name]) => name === event).map(([, ...args]) => args);
  }

  /** Sends an event and resolves with its acknowledgement. */
  request<T = unknown>(event: string, ...args: unknown[]): Promise<T> {
    return this.socket.timeout(defaultTimeoutMs).emitWithAck(event, ...args) as Promise<T>;
  }

  close(): void {
    this.socket.disconnect();
  }

  #receive(received: ReceivedEvent): void {
    this.received.push(received);
    const index = this.#waiting.findIndex(({ event }) => event === received[0]);
    if (index === -1) this.#unread.push(received);
    else this.#waiting.splice(index, 1)[0]?.resolve(received[1] as never);
  }

  #names(): string {
    return this.#unread.map(([name]) => name).join(", ");
  }
}
