import type { ClientPlan } from "../client-plan.ts";
import type { Dialer } from "../clients/dialer.ts";
import type { Reader, ReaderObserver, ReceivedPublication } from "../clients/reader.ts";
import { DeliveryChecker } from "../verification/delivery-checker.ts";
import { addExample, addCounts, type DeliveryVerdict } from "../verification/verdict.ts";
import type { PublishLog } from "../verification/publish-log.ts";
import { readNumbered } from "../load/numbered.ts";
import { readOrderStatus } from "../load/orders.ts";
import { boardOf, BoardCopy } from "../load/scores.ts";
import { epochNow } from "../plan.ts";
import type { Load } from "../scenario.ts";
import type { Measurements } from "../measurements.ts";
import type { BoardTops } from "./messages.ts";

export interface VirtualUserDeps {
  plan: ClientPlan;
  dialer: Dialer;
  load: Load["type"];
  measurements: Measurements;
}

/** Number and scheduled times read from a publication. */
interface Content {
  number?: number | undefined;
  /** Scheduled times of what it contains. */
  sentAt: readonly number[];
}

/** One virtual user: measures its connections and checks its deliveries. */
export class VirtualUser implements ReaderObserver {
  readonly plan: ClientPlan;
  readonly dialer: Dialer;
  readonly #load: Load["type"];
  readonly #measurements: Measurements;
  readonly #readings: ReadonlyMap<string, DeliveryChecker>;
  readonly #boards = new Map<string, BoardCopy>();
  #reader: Reader | undefined;
  #nodeId: string | undefined;
  /** Publications due later count as live. */
  #readySince = Number.POSITIVE_INFINITY;
  /** When it started to connect, or lost its connection. */
  #awaySince = 0;
  #wasReady = false;
  #losses = 0;

  constructor({ plan: role, dialer: line, load, measurements }: VirtualUserDeps) {
    this.plan = role;
    this.dialer = line;
    this.#load = load;
    this.#measurements = measurements;
    this.#readings = new Map(role.channels.map((channel) => [channel, new DeliveryChecker()]));
  }

  /** Its node; undefined while it is not subscribed. */
  get node(): string | undefined {
    return this.isReading ? (this.#nodeId ?? "") : undefined;
  }

  get isReading(): boolean {
    return this.#readySince < Number.POSITIVE_INFINITY;
  }

  /** Whether it was subscribed before and has to reconnect. */
  get isAway(): boolean {
    return this.#wasReady && !this.isReading;
  }

  open(reader: Reader): void {
    this.#reader = reader;
    this.#awaySince = epochNow();
    reader.open();
  }

  close(): void {
    this.#reader?.close();
  }

  cut(): void {
    if (!this.isReading) return;
    this.#measurements.count("cut");
    this.dialer.cut();
  }

  /** Pauses reading; publications of that time do not count as live. */
  stall(forMs: number): void {
    if (!this.isReading) return;
    this.#measurements.count("stalled");
    this.#readySince = Number.POSITIVE_INFINITY;
    this.dialer.pauseReading();
    const losses = this.#losses;
    setTimeout(() => {
      // Unless the connection was lost meanwhile.
      if (losses === this.#losses) this.#readySince = Math.min(this.#readySince, epochNow());
      this.dialer.resumeReading();
    }, forMs);
  }

  ready(nodeId: string | undefined): void {
    this.#nodeId = nodeId;
    if (this.isReading) return;
    this.#readySince = epochNow();
    this.#measurements.count("ready");
    this.#measurements.record(this.#wasReady ? "reconnect" : "connect", this.#readySince - this.#awaySince);
    this.#wasReady = true;
  }

  lost(reason: string): void {
    this.#measurements.count(`lost:${reason}`);
    this.#losses += 1;
    this.#readySince = Number.POSITIVE_INFINITY;
    this.#awaySince = epochNow();
  }

  refused(code: string): void {
    this.#measurements.count(`refused:${code}`);
  }

  closing(code: string): void {
    this.#measurements.count(`closing:${code}`);
  }

  subscribed(channel: string, place: ReceivedPublication["position"], snapshot: unknown): void {
    this.#readings.get(channel)?.subscribed(epochNow(), place);
    this.#setBoard(channel, snapshot);
  }

  reset(channel: string, place: NonNullable<ReceivedPublication["position"]>, snapshot: unknown): void {
    this.#measurements.count("told");
    this.#readings.get(channel)?.reset(epochNow(), place);
    this.#setBoard(channel, snapshot);
  }

  publication(channel: string, received: ReceivedPublication): void {
    const reading = this.#readings.get(channel);
    if (reading === undefined) return this.#measurements.count("foreign");
    const now = epochNow();
    const { number, sentAt } = this.#contentOf(channel, received);
    reading.received({ position: received.position, number });
    this.#measurements.count("delivered");
    for (const moment of sentAt) this.#measurements.record(moment >= this.#readySince ? "live" : "late", now - moment);
  }

  judge(verdict: DeliveryVerdict, publishLog: PublishLog, tops: BoardTops): void {
    const { kind, index } = this.plan;
    for (const [channel, reading] of this.#readings)
      addCounts(
        verdict,
        `reader ${index} (${kind}) ${channel}`,
        reading.evaluate(publishLog.get(channel)),
        reading.hasSubscribed,
      );
    for (const [channel, board] of this.#boards) {
      const top = tops[boardOf(channel)];
      if (top === undefined) continue;
      verdict.boards += 1;
      if (board.equals(top)) continue;
      verdict.wrongBoards += 1;
      addExample(verdict, `reader ${index} (${kind}) ${channel}: differs from the gateway's board`);
    }
  }

  #contentOf(channel: string, { event, data }: ReceivedPublication): Content {
    if (this.#load === "scores") return { sentAt: this.#boards.get(channel)?.apply(event, data) ?? [] };
    const { number, sentAt } = this.#load === "orders" ? readOrderStatus(data) : readNumbered(data);
    return { number, sentAt: sentAt === undefined ? [] : [sentAt] };
  }

  #setBoard(channel: string, snapshot: unknown): void {
    if (this.#load === "scores" && snapshot !== undefined) this.#boards.set(channel, new BoardCopy(snapshot));
  }
}
