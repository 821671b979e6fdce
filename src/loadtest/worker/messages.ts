import type { BoardEntry } from "../../protocol/board.ts";
import type { SignedIn } from "../clients/login.ts";
import type { PublishLogParts } from "../verification/publish-log.ts";
import type { DeliveryVerdict } from "../verification/verdict.ts";
import type { Plan } from "../plan.ts";
import type { MeasuredSecond } from "../measurements.ts";

/** The top of each board, as read from the gateway. */
export type BoardTops = Record<string, Pick<BoardEntry, "rank" | "member" | "score">[]>;

/** A command to a worker process, one line of JSON on its standard input. The worker exits when its input ends. */
export type WorkerCommand =
  /** Connect the readers whose index modulo the number of workers is `share`. Logins are in their order. */
  | { type: "hold"; plan: Plan; share: number; logins: SignedIn[] }
  /** Become the publisher. */
  | { type: "prepare"; plan: Plan }
  /** Start the schedule at this time, in epoch milliseconds. */
  | { type: "publish"; at: number }
  | { type: "cut"; share: number; spreadMs: number; round: number }
  | { type: "stall"; share: number; forMs: number; round: number }
  /** Answered with `interest`. */
  | { type: "ask interest" }
  /** Answered with `publishLog` when every item is confirmed or given up. */
  | { type: "stop publishing" }
  /** Answered with `verdict` when nothing is missing or `withinMs` has passed. */
  | { type: "judge"; publishLog: PublishLogParts; tops: BoardTops; withinMs: number };

/** An event of a worker process, one line of JSON on its standard output. */
export type WorkerEvent =
  /** Measurements of the second that started at `at`, in epoch seconds. */
  | { type: "second"; at: number; second: MeasuredSecond }
  /** Subscribed channels by node. */
  | { type: "interest"; channels: Record<string, string[]> }
  | { type: "publishLog"; publishLog: PublishLogParts }
  | { type: "verdict"; verdict: DeliveryVerdict };

export type WorkerEventOf<Type extends WorkerEvent["type"]> = Extract<WorkerEvent, { type: Type }>;
