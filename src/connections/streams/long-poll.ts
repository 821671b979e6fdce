import type { Position } from "../../protocol/scalars.ts";
import type { Publication } from "../../channels/publication.ts";
import type { Frame } from "../../engine/frames.ts";
import { eventOf } from "./stream-event.ts";
import type { StreamOutput } from "./stream-connection.ts";

/** What ended a long poll before its time. */
export interface PollEnd {
  publications: readonly Publication[];
  /** Why the gateway ended it. */
  closing?: { code: string; reconnect: boolean } | undefined;
  unsubscribed?: { code: string } | undefined;
  /** Whether the channel's state changed. */
  hasState: boolean;
}

/** Collects what arrives in the tick of the first publication or change of the state. */
export class LongPoll implements StreamOutput {
  readonly ended: Promise<PollEnd>;
  readonly #end: (end: PollEnd) => void;
  readonly #publications: Publication[] = [];
  #unsubscribed: PollEnd["unsubscribed"];
  #hasState = false;
  #isEnding = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<PollEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  get queuedBytes(): number {
    return 0;
  }

  add(frame: Frame): void {
    const { name, data } = eventOf(frame);
    if (name === "unsubscribed") this.#unsubscribed = JSON.parse(data) as { code: string };
    if (name === "closing") this.#finish(JSON.parse(data) as PollEnd["closing"]);
    if (name === "state") this.#hasState = true;
    else if (name === "publication" && isLogged(data)) this.#publications.push(JSON.parse(data) as Publication);
    else return;
    if (!this.#isEnding) setImmediate(() => this.#finish());
    this.#isEnding = true;
  }

  finish(last: Frame | undefined): void {
    if (last !== undefined) this.add(last);
    this.#finish();
  }

  #finish(closing?: PollEnd["closing"]): void {
    const publications = [...this.#publications];
    this.#end({ publications, closing, unsubscribed: this.#unsubscribed, hasState: this.#hasState });
  }

  retryAfter(): void {}
  drop(): void {}
}

const isLogged = (data: string): boolean => (JSON.parse(data) as Partial<Position>).offset !== undefined;
