import type { CommandType } from "../../protocol/commands.ts";
import { backoffDelay } from "../../runtime/backoff.ts";
import { sleep, type Clock } from "../../runtime/clock.ts";
import type { Service } from "../../runtime/lifecycle.ts";
import type { Logger } from "../../runtime/logger.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { createPacedWarnings, type PacedWarnings } from "../../runtime/paced-warnings.ts";
import type { CommandExecutor } from "../command-executor.ts";
import { parseCommand } from "../commands.ts";
import { toFailure } from "../failures.ts";
import {
  countDeadLetters,
  lockRows,
  readFirstRows,
  readLag,
  removeOldDeadLetters,
  writeOutcomes,
  type OutboxRow,
  type RowOutcome,
} from "./outbox-store.ts";
import type { ConnectDatabase, Database } from "./postgres.ts";

/**
 * Commands from a table of the application's own database: an insert in the application's transaction is a command with
 * exactly one effect.
 *
 * A row is deleted after its command was performed. If a node or Postgres dies in between, the row is performed again, and
 * the row's `uid` tells the effect that it is a repeat. Rows of one key are performed in order: a row that may succeed
 * later delays its own key and no other. What cannot be performed moves to `tidegate_outbox_dead`.
 */
export interface OutboxDeps {
  connect: ConnectDatabase;
  executor: Pick<CommandExecutor, "perform">;
  metrics: Pick<Metrics, "commands" | "outboxLag" | "deadLetters">;
  clock: Clock;
  log: Logger;
}

export interface OutboxOptions {
  /** Max bytes of a command's text. */
  maxBytes: number;
  /** Attempts before a command becomes a dead letter. @default 5 */
  tries?: number | undefined;
}

/** Max keys and rows of one transaction. */
const maxKeys = 100;
const maxRows = 500;
/** Max milliseconds until rows are found that nobody announced: those that are retried. */
const pollMs = 1_000;
const measureEveryMs = 5_000;
/** Max dead letters that are counted. */
const maxCounted = 100_000;
const cleanEveryMs = 3_600_000;
const retryBackoff = { minMs: 100, maxMs: 5_000 };
const reconnectBackoff = { minMs: 200, maxMs: 5_000 };

export class Outbox implements Service {
  readonly name = "outbox";
  readonly #deps: OutboxDeps;
  readonly #options: { maxBytes: number; tries: number };
  readonly #warn: PacedWarnings;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  /** Rows were inserted since the current pass over all keys began. */
  #isWoken = false;
  #endWait: () => void = () => undefined;
  #measuredAt = -Infinity;
  #cleanedAt = -Infinity;

  constructor(deps: OutboxDeps, { maxBytes, tries = 5 }: OutboxOptions) {
    this.#deps = deps;
    this.#options = { maxBytes, tries };
    this.#warn = createPacedWarnings(deps.log);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake();
    await this.#running;
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  async #run(): Promise<void> {
    let isFailing = false;
    for (let attempt = 0; !this.#isStopped; attempt++) {
      try {
        const database = await this.#deps.connect(() => this.#wake());
        if (isFailing) this.#deps.log.info({}, "the outbox can be read again");
        isFailing = false;
        attempt = 0;
        await this.#workThenClose(database);
      } catch (error) {
        this.#deps.metrics.outboxLag.remove();
        this.#deps.metrics.deadLetters.remove({ of: "outbox" });
        this.#measuredAt = -Infinity;
        isFailing = true;
        this.#warn({ reason: reasonOf(error) }, "reading the outbox failed; retrying");
      }
      await sleep(this.#deps.clock, backoffDelay(attempt, reconnectBackoff), this.#stopped.signal);
    }
  }

  async #workThenClose(database: Database): Promise<void> {
    try {
      await this.#work(database);
    } finally {
      // A transaction that was not committed ends here.
      await database.close().catch(() => undefined);
    }
  }

  async #work(database: Database): Promise<void> {
    let key = "";
    let isIdle = true;
    let blocked = 0;
    while (!this.#isStopped && database.isOpen) {
      if (key === "") this.#isWoken = false;
      const { ids, nextKey } = await readFirstRows(database, key, maxKeys);
      const batch = ids.length === 0 ? nothing : await this.#performBatch(database, ids);
      key = nextKey;
      isIdle &&= batch.count === 0;
      blocked = batch.isBlocked ? blocked + 1 : 0;
      await this.#maintain(database);
      if (batch.isBlocked) await sleep(this.#deps.clock, backoffDelay(blocked, retryBackoff), this.#stopped.signal);
      else if (key === "") {
        if (isIdle) await this.#untilWoken();
        isIdle = true;
      }
    }
  }

  /** Resolves at the next insert, when the connection is lost, or after `pollMs`. */
  async #untilWoken(): Promise<void> {
    if (this.#isWoken || this.#isStopped) return;
    const waiting = new AbortController();
    this.#endWait = () => waiting.abort();
    await sleep(this.#deps.clock, pollMs, waiting.signal);
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endWait();
  }

  async #performBatch(database: Database, ids: readonly string[]): Promise<TransactionResult> {
    await database.query("BEGIN");
    const perKey = Math.ceil(maxRows / ids.length);
    const rows = await lockRows(database, ids, { perKey, maxLength: this.#options.maxBytes });
    const keys = [...Map.groupBy(rows, ({ key }) => key).values()];
    const outcomes = await Promise.all(keys.map((ofKey) => this.#performInOrder(ofKey)));
    await writeOutcomes(database, outcomes.flat());
    await database.query("COMMIT");
    const isBlocked = outcomes.some((ofKey, index) => ofKey.length === 0 && keys[index]?.length !== 0);
    return { count: outcomes.flat().length, isBlocked };
  }

  /** Ends early at a row that is retried, or if Redis is away. */
  async #performInOrder(rows: readonly OutboxRow[]): Promise<RowOutcome[]> {
    const outcomes: RowOutcome[] = [];
    for (const row of rows) {
      const outcome = await this.#perform(row);
      if (outcome === undefined) return outcomes;
      outcomes.push(outcome);
      if (outcome.is === "retried") return outcomes;
    }
    return outcomes;
  }

  /** Undefined if Redis is away. */
  async #perform(row: OutboxRow): Promise<RowOutcome | undefined> {
    const { id, uid, tries } = row;
    let type: CommandType | undefined;
    const count = (outcome: string) => this.#deps.metrics.commands.inc({ type: type ?? "none", outcome });
    try {
      const command = parseCommand(row.command, { maxBytes: this.#options.maxBytes });
      type = command.type;
      await this.#deps.executor.perform(command, { door: "outbox", deliveryKey: `outbox:${uid}` });
      count("performed");
      return { id, is: "done" };
    } catch (error) {
      const { kind, code, reason } = toFailure(type, error);
      if (kind === "away") return undefined;
      if (kind === "trouble" && tries + 1 < this.#options.tries) {
        count("retried");
        return { id, is: "retried", delayMs: Math.ceil(backoffDelay(tries, retryBackoff)) };
      }
      count("dead");
      this.#warn({ row: id, type, code, tries: tries + 1 }, "outbox command dead-lettered");
      return { id, is: "dead", code, reason };
    }
  }

  async #maintain(database: Database): Promise<void> {
    const now = this.#deps.clock.monotonic();
    if (now - this.#measuredAt >= measureEveryMs) {
      this.#measuredAt = now;
      this.#deps.metrics.outboxLag.set(await readLag(database));
      this.#deps.metrics.deadLetters.set({ of: "outbox" }, await countDeadLetters(database, maxCounted));
    }
    if (now - this.#cleanedAt < cleanEveryMs) return;
    this.#cleanedAt = now;
    await removeOldDeadLetters(database);
  }
}

interface TransactionResult {
  /** Rows that were dealt with. */
  count: number;
  /** Redis is away. */
  isBlocked: boolean;
}

/** Where a host has several addresses, one error for each. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(reasonOf))].join("; ");
  return error instanceof Error ? error.message : String(error);
}

const nothing: TransactionResult = { count: 0, isBlocked: false };
