import type { BoardEntry } from "../../protocol/board.ts";
import type { SignedIn } from "../clients/login.ts";
import type { LedgerParts } from "../judge/ledger.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { Plan } from "../plan.ts";
import type { Second } from "../tally.ts";

/** The top of a board as the gateway says it is. */
export type Tops = Record<string, Pick<BoardEntry, "rank" | "member" | "score">[]>;

/** What the lab tells a worker process, as one line of JSON on its standard input. Its end is the worker's end. */
export type Instruction =
  /** Hold the readers whose number leaves `share` when divided by the plan's workers. Logins are in their order. */
  | { type: "hold"; plan: Plan; share: number; logins: SignedIn[] }
  /** Be the publisher. */
  | { type: "prepare"; plan: Plan }
  /** Publish by the schedule, which begins at this moment of lab time. */
  | { type: "publish"; at: number }
  | { type: "cut"; share: number; spreadMs: number; round: number }
  | { type: "stall"; share: number; forMs: number; round: number }
  /** Answered with `interest`. */
  | { type: "ask interest" }
  /** Answered with `ledger`, when everything under way is settled. */
  | { type: "stop publishing" }
  /** Answered with `verdict`, when nothing is missing any more or time is up. */
  | { type: "judge"; ledger: LedgerParts; tops: Tops; withinMs: number };

/** What a worker tells the lab, as one line of JSON on its standard output. */
export type Word =
  /** Of the second that began so many seconds after the epoch. */
  | { type: "second"; at: number; second: Second }
  /** Channels with readers, by the node that these are connected to. */
  | { type: "interest"; channels: Record<string, string[]> }
  | { type: "ledger"; ledger: LedgerParts }
  | { type: "verdict"; verdict: Verdict };

export type WordOf<Type extends Word["type"]> = Extract<Word, { type: Type }>;
