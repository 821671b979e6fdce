import { userChannelOf } from "../protocol/names.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import type { AppConnection } from "./connection.ts";
import { InFlightCounter } from "./in-flight.ts";

/** State of one connection's requests. */
export class ConnectionRequests {
  readonly connection: AppConnection;
  readonly inFlight: InFlightCounter;
  /** Until `ready` was sent, requests about the user's own channel wait for this. */
  connecting: Promise<void> | undefined;
  #queues: KeyedQueue | undefined;
  /** Of the whole connection, for another namespace. */
  readonly #whole: ConnectionRequests | undefined;

  constructor(connection: AppConnection, whole?: ConnectionRequests) {
    this.connection = connection;
    this.inFlight = whole?.inFlight ?? new InFlightCounter();
    this.#whole = whole;
  }

  /** Requests in another namespace of the same connection: with the same order, and the same bounds. */
  inNamespace(connection: AppConnection): ConnectionRequests {
    return new ConnectionRequests(connection, this);
  }

  /** Runs work with the same key one after the other, in the order of the calls. */
  run<T>(key: string, work: (release: () => void) => Promise<T>): Promise<T> {
    if (this.#whole !== undefined) return this.#whole.run(key, work);
    const { connecting, connection } = this;
    if (connecting !== undefined && key === userChannelOf(connection.userId))
      return connecting.then(() => this.#run(key, work));
    return this.#run(key, work);
  }

  /** The same in two queues at once: its places in both are those of the call. */
  runInBoth<T>(key: string, other: string, work: () => Promise<T>): Promise<T> {
    const [turn, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    void this.run(other, () => {
      turn.resolve();
      return end.promise;
    });
    return this.run(key, () => turn.promise.then(work)).finally(end.resolve);
  }

  #run<T>(key: string, work: (release: () => void) => Promise<T>): Promise<T> {
    return (this.#queues ??= new KeyedQueue()).run(key, work);
  }
}
