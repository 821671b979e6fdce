import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { isOutage, isTimeout, whyWritesAreRefused } from "./outage.ts";

export interface AvailabilityDeps {
  /** Where Redis is, in words. */
  address: string;
  /** Rejects, or never settles, while a connection does not work. */
  isReachable: () => Promise<boolean>;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two looks while something is wrong. */
const checkEveryMs = 500;
/** Milliseconds without a failure after which an outage may be over: heartbeats fail more often than that. */
const quietMs = 1_500;
/** Milliseconds that a connection may take to come back before anybody is told. */
const blipMs = 1_000;
const repeatMs = 60_000;

/** One time in which something was wrong. Times are monotonic milliseconds. */
interface Outage {
  since: number;
  lastFailureAt: number;
  reason: string;
  loggedAt: number | undefined;
}

const words = {
  away: {
    begun: "lost the connection to Redis; reconnecting",
    going: "Redis is still unreachable",
    over: "Redis is reachable again",
  },
  refusing: { begun: "Redis refuses writes", going: "Redis still refuses writes", over: "Redis accepts writes again" },
} as const;

type Kind = keyof typeof words;

/**
 * Whether Redis is there, as the log tells it: one line when it goes, with its address and the error; one a minute while it
 * is away; one when it is back, with how long that took. A Redis that answers and refuses writes is told apart.
 */
export class Availability {
  readonly #deps: AvailabilityDeps;
  readonly #episodes = new Map<Kind, Outage>();
  #isReachable = true;
  #cancel: Cancel | undefined;

  constructor(deps: AvailabilityDeps) {
    this.#deps = deps;
  }

  /** Why writes are refused at the moment, in words; undefined where they are not. */
  get refusal(): string | undefined {
    return whyWritesAreRefused(this.#episodes.get("refusing")?.reason);
  }

  /** A connection could not be made, or broke. */
  connectionFailed(error: Error): void {
    this.#tell("away", this.#fail("away", reasonOf(error)));
  }

  /** A command failed; anything but an outage is none of this. */
  commandFailed(error: unknown): void {
    if (!isOutage(error)) return;
    const { message } = error as Error;
    const kind: Kind = whyWritesAreRefused(message) === undefined ? "away" : "refusing";
    const known = this.#episodes.get(kind);
    // That a connection was closed says less than why it cannot be made again.
    const isTelling = kind === "refusing" || isTimeout(error) || (error as Error).name === "ReplyError";
    const episode = this.#fail(kind, isTelling || known === undefined ? message : known.reason);
    if (isTelling) this.#tell(kind, episode);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#episodes.clear();
  }

  #fail(kind: Kind, reason: string): Outage {
    const now = this.#deps.clock.monotonic();
    const { since, loggedAt } = this.#episodes.get(kind) ?? { since: now, loggedAt: undefined };
    const episode = { since, lastFailureAt: now, reason, loggedAt };
    this.#episodes.set(kind, episode);
    this.#isReachable = false;
    this.#cancel ??= this.#deps.clock.every(checkEveryMs, () => this.#look());
    return episode;
  }

  #tell(kind: Kind, episode: Outage): void {
    const now = this.#deps.clock.monotonic();
    const { since, reason, loggedAt } = episode;
    if (loggedAt !== undefined && now - loggedAt < repeatMs) return;
    const { address } = this.#deps;
    if (loggedAt === undefined) this.#deps.log.warn({ address, reason }, words[kind].begun);
    else this.#deps.log.warn({ address, reason, seconds: secondsOf(now - since) }, words[kind].going);
    episode.loggedAt = now;
  }

  #look(): void {
    const now = this.#deps.clock.monotonic();
    for (const [kind, episode] of this.#episodes) {
      const isQuiet = now - episode.lastFailureAt >= quietMs;
      if (isQuiet && (kind === "refusing" || this.#isReachable)) this.#end(kind, episode);
      else if (episode.loggedAt !== undefined || episode.lastFailureAt - episode.since >= blipMs)
        this.#tell(kind, episode);
    }
    if (this.#episodes.size === 0) return this.stop();
    void this.#deps.isReachable().then(
      (isReachable) => (this.#isReachable = isReachable),
      () => (this.#isReachable = false),
    );
  }

  #end(kind: Kind, { since, lastFailureAt, loggedAt }: Outage): void {
    this.#episodes.delete(kind);
    if (loggedAt === undefined) return;
    const { address, log } = this.#deps;
    log.info({ address, seconds: secondsOf(lastFailureAt - since) }, words[kind].over);
  }
}

const secondsOf = (ms: number): number => Math.round(ms / 100) / 10;

/** A Cluster says that no member answered, and keeps why one of them did not. */
function reasonOf(error: Error & { lastNodeError?: Error | null }): string {
  const { message, lastNodeError } = error;
  return lastNodeError?.message === undefined ? message : `${message} ${lastNodeError.message}`;
}
