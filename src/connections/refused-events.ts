import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { ClientErrorBody } from "../protocol/errors.ts";
import type { Connection } from "./connection.ts";

/** Milliseconds in which one name is logged once. */
const logEveryMs = 60_000;
/** Max names that are logged in this time; the rest is counted. */
const maxLogged = 20;
/** Max names that are remembered in total, and max warnings of a connection. */
const maxNames = 1_000;
const maxWarnings = 32;
const maxNameLength = 128;

/** A refused event; `limiter` names the limit that refused it. */
interface EventRefusal extends ClientErrorBody {
  limiter: string;
}

/**
 * Reports refused events: those that nothing handles, and those beyond a limit, to the log by name, and all to clients that
 * requested no acknowledgement.
 */
export class RefusedEvents {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #warnRarely: PacedWarnings;
  readonly #warnOfLimit: PacedWarnings;
  #logged = { count: 0, until: 0 };
  readonly #loggedUntil = new BoundedMap<string, number>(maxNames);
  readonly #warned = new WeakMap<Connection, Set<string>>();

  constructor({ clock, log }: { clock: Clock; log: Logger }) {
    this.#clock = clock;
    this.#log = log;
    const now = (): number => clock.monotonic();
    this.#warnRarely = createPacedWarnings(log, { now });
    this.#warnOfLimit = createPacedWarnings(log, { now, everyMs: logEveryMs });
  }

  /** `isUnanswered`: the client requested no acknowledgement, so it is warned, once per code and event name. */
  note(connection: Connection, name: string, error: EventRefusal, isUnanswered: boolean): void {
    const event = name.slice(0, maxNameLength);
    if (error.code === "unknown_event") this.#logOnce(event);
    else this.#logLimit(connection, event, error);
    if (isUnanswered) this.#warnOnce(connection, event, error);
  }

  /** An app has a listener for an event that is built in. */
  noteUnheard(event: string): void {
    if (this.#isLoggedNow(event))
      this.#log.error({ event }, "a listener of the app is never called: the event is built in");
  }

  /** What an operator of an app must know to raise the limit. */
  #logLimit({ userId }: Connection, event: string, { code, message, limiter }: EventRefusal): void {
    if (code === "rate_limited") this.#warnOfLimit({ event, userId, limit: limiter }, "a limit refused an event");
    if (code === "payload_too_large") this.#warnOfLimit({ userId, detail: message }, "an event was too large");
  }

  /** At most once in a while for each name. */
  #isLoggedNow(event: string): boolean {
    const now = this.#clock.monotonic();
    if ((this.#loggedUntil.get(event) ?? 0) > now) return false;
    this.#loggedUntil.set(event, now + logEveryMs);
    return true;
  }

  #logOnce(event: string): void {
    if (!this.#isLoggedNow(event)) return;
    const now = this.#clock.monotonic();
    if (now >= this.#logged.until) this.#logged = { count: 0, until: now + logEveryMs };
    this.#logged.count += 1;
    if (this.#logged.count <= maxLogged) this.#log.warn({ event }, "no handler for an event of a client");
    else this.#warnRarely({ event }, "no handlers for many events of clients");
  }

  #warnOnce(connection: Connection, event: string, { code, message }: ClientErrorBody): void {
    const warned = this.#warned.get(connection) ?? new Set<string>();
    const key = `${code} ${event}`;
    if (warned.has(key) || warned.size >= maxWarnings) return;
    this.#warned.set(connection, warned.add(key));
    connection.emit("warning", { code, message, event });
  }
}
