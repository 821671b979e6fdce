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
}

/** Collects the publications of the tick in which the first one arrives. */
export class LongPoll implements StreamOutput {
  readonly ended: Promise<PollEnd>;
  readonly #end: (end: PollEnd) => void;
  readonly #publications: Publication[] = [];
  #unsubscribed: PollEnd["unsubscribed"];

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
    if (name !== "publication" || !isLogged(data)) return;
    if (this.#publications.push(JSON.parse(data) as Publication) === 1) setImmediate(() => this.#finish());
  }

  finish(last: Frame | undefined): void {
    if (last !== undefined) this.add(last);
    this.#finish();
  }

  #finish(closing?: PollEnd["closing"]): void {
    this.#end({ publications: [...this.#publications], closing, unsubscribed: this.#unsubscribed });
  }

  retryAfter(): void {}
  drop(): void {}
}

const isLogged = (data: string): boolean => (JSON.parse(data) as Partial<Position>).offset !== undefined;
