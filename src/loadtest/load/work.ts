import type { ApiRefusal } from "../api.ts";

/** Something to be published. */
export interface Item {
  /** Whose readers are to get it. */
  channel: string;
  /** Among the channel's publications, from 1; undefined where readers get no publication for each. */
  number: number | undefined;
  /** When it is to be sent, however the house fares; epoch milliseconds. */
  dueAt: number;
  /** Items of one lane are sent one call after the other, in order. All of a channel are in one. */
  lane: number;
  /** What the house is asked, as the work's own `send` understands it. */
  body: object;
}

export type Outcome = "confirmed" | ApiRefusal;

/** What is published, and how. */
export interface Work {
  readonly lanes: number;
  /** Most items of one call. */
  readonly mostAtOnce: number;
  /** What comes next, by the seed. */
  next(dueAt: number): Item;
  /** Items of one lane, in order; an outcome for each. */
  send(items: readonly Item[]): Promise<Outcome[]>;
  stop(): void;
}
