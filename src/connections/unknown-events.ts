import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { BoundedMap } from "../throttling/bounded-map.ts";
import { errorCatalogue } from "../protocol/errors.ts";
import type { Connection } from "./connection.ts";

/** Milliseconds in which one name is logged once. */
const logEveryMs = 60_000;
/** Max names that are remembered, in total and per connection. */
const maxNames = 1_000;
const maxNamesPerConnection = 32;
const maxNameLength = 128;

/** Reports events that nothing handles: to the log by name, and to clients that requested no acknowledgement. */
export class UnknownEvents {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #loggedUntil = new BoundedMap<string, number>(maxNames);
  readonly #warned = new WeakMap<Connection, Set<string>>();

  constructor({ clock, log }: { clock: Clock; log: Logger }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `isUnanswered`: the client requested no acknowledgement, so it is warned once per event name. */
  note(connection: Connection, name: string, isUnanswered: boolean): void {
    const event = name.slice(0, maxNameLength);
    this.#logOnce(event);
    if (isUnanswered) this.#warnOnce(connection, event);
  }

  #logOnce(event: string): void {
    const now = this.#clock.monotonic();
    if ((this.#loggedUntil.get(event) ?? 0) > now) return;
    this.#loggedUntil.set(event, now + logEveryMs);
    this.#log.warn({ event }, "no handler for an event of a client");
  }

  #warnOnce(connection: Connection, event: string): void {
    const warned = this.#warned.get(connection) ?? new Set<string>();
    if (warned.has(event) || warned.size >= maxNamesPerConnection) return;
    this.#warned.set(connection, warned.add(event));
    connection.emit("warning", { code: "unknown_event", message: errorCatalogue.unknown_event.message, event });
  }
}
