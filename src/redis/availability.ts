import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { diagnosisOf, isOutage, isTimeout, whyWritesAreRefused, type RedisDiagnosis } from "./outage.ts";

export interface AvailabilityDeps {
  /** The address of Redis, for log lines. */
  address: string;
  /** Rejects, or never settles, while a connection does not work. */
  isReachable: () => Promise<boolean>;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two checks during an outage. */
const checkEveryMs = 500;
/** Milliseconds without a failure after which an outage may be over; heartbeats fail more often during one. */
const quietMs = 1_500;
/** Milliseconds that a reconnection may take before it is logged. */
const blipMs = 1_000;
const repeatMs = 60_000;

/** Times are monotonic milliseconds. */
interface Outage {
  since: number;
  lastFailureAt: number;
  reason: string;
  loggedAt: number | undefined;
}

const messages = {
  away: {
    started: "lost the connection to Redis; reconnecting",
    ongoing: "Redis is still unreachable",
    over: "Redis is reachable again",
  },
  refusing: {
    started: "Redis refuses writes",
    ongoing: "Redis still refuses writes",
    over: "Redis accepts writes again",
  },
} as const;

type Kind = keyof typeof messages;

/**
 * Logs outages of Redis: one line when it becomes unreachable, with address and error; one per minute while it is; one when
 * it is back, with the duration. A Redis that answers but refuses writes is logged as such.
 */
export class Availability {
  readonly #deps: AvailabilityDeps;
  readonly #inform: PacedWarnings;
  readonly #outages = new Map<Kind, Outage>();
  #isReachable = true;
  #cancel: Cancel | undefined;

  constructor(deps: AvailabilityDeps) {
    this.#deps = deps;
    this.#inform = createPacedWarnings(deps.log, { level: "info", now: () => deps.clock.monotonic() });
  }

  /** Why Redis currently refuses writes; undefined if it does not. */
  get refusal(): string | undefined {
    return whyWritesAreRefused(this.#outages.get("refusing")?.reason);
  }

  /** Call when a connection could not be opened, or broke. */
  connectionFailed(error: Error): void {
    this.#logOutage("away", this.#fail("away", reasonOf(error)));
  }

  /** Call when a connection that broke is ready again. Unless that was part of an outage, nothing else has been logged. */
  connectionRestored(role: string): void {
    if (this.#outages.get("away")?.loggedAt === undefined)
      this.#inform({ address: this.#deps.address, role }, "a connection to Redis was lost and is back");
  }

  /** Call when a command failed; errors other than outages are ignored. */
  commandFailed(error: unknown): void {
    if (!isOutage(error)) return;
    const { message } = error as Error;
    const kind: Kind = whyWritesAreRefused(message) === undefined ? "away" : "refusing";
    const known = this.#outages.get(kind);
    // The error of a reconnection says more than that a connection was closed.
    const isInformative = kind === "refusing" || isTimeout(error) || (error as Error).name === "ReplyError";
    const outage = this.#fail(kind, isInformative || known === undefined ? message : known.reason);
    if (isInformative) this.#logOutage(kind, outage);
  }

  /** What is wrong with a Redis that answers, but cannot be used for anything; undefined if nothing is, or nothing is known. */
  get diagnosis(): RedisDiagnosis | undefined {
    return diagnosisOf(this.#outages.get("away")?.reason);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#outages.clear();
  }

  #fail(kind: Kind, reason: string): Outage {
    const now = this.#deps.clock.monotonic();
    const { since, loggedAt } = this.#outages.get(kind) ?? { since: now, loggedAt: undefined };
    const outage = { since, lastFailureAt: now, reason, loggedAt };
    this.#outages.set(kind, outage);
    this.#isReachable = false;
    this.#cancel ??= this.#deps.clock.every(checkEveryMs, () => this.#check());
    return outage;
  }

  #logOutage(kind: Kind, outage: Outage): void {
    const now = this.#deps.clock.monotonic();
    const { since, reason, loggedAt } = outage;
    if (loggedAt !== undefined && now - loggedAt < repeatMs) return;
    const { address, log } = this.#deps;
    const fields = { address, reason: withoutScript(reason), remedy: diagnosisOf(reason)?.remedy };
    if (loggedAt === undefined) log.warn(fields, messages[kind].started);
    else log.warn({ ...fields, seconds: secondsOf(now - since) }, messages[kind].ongoing);
    outage.loggedAt = now;
  }

  #check(): void {
    const now = this.#deps.clock.monotonic();
    for (const [kind, outage] of this.#outages) {
      const isQuiet = now - outage.lastFailureAt >= quietMs;
      if (isQuiet && (kind === "refusing" || this.#isReachable)) this.#end(kind, outage);
      else if (outage.loggedAt !== undefined || outage.lastFailureAt - outage.since >= blipMs)
        this.#logOutage(kind, outage);
    }
    if (this.#outages.size === 0) return this.stop();
    void this.#deps.isReachable().then(
      (isReachable) => (this.#isReachable = isReachable),
      () => (this.#isReachable = false),
    );
  }

  #end(kind: Kind, { since, lastFailureAt, loggedAt }: Outage): void {
    this.#outages.delete(kind);
    if (loggedAt === undefined) return;
    const { address, log } = this.#deps;
    log.info({ address, seconds: secondsOf(lastFailureAt - since) }, messages[kind].over);
  }
}

const secondsOf = (ms: number): number => Math.round(ms / 100) / 10;

/** Redis adds which script was refused, by a digest. */
const withoutScript = (reason: string): string => reason.replace(/ script: \w{40}, on @user_script:\d+\.$/, "");

/** A Cluster reports that no node answered, with the error of one of them. */
function reasonOf(error: Error & { lastNodeError?: Error | null }): string {
  const { message, lastNodeError } = error;
  return lastNodeError?.message === undefined ? message : `${message} ${lastNodeError.message}`;
}
