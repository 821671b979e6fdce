import type { Role } from "../cast.ts";
import type { Line } from "../clients/line.ts";
import type { Reader, ReaderWatch, Received } from "../clients/reader.ts";
import { Reading } from "../judge/reading.ts";
import { addExample, addReading, type Verdict } from "../judge/verdict.ts";
import type { Ledger } from "../judge/ledger.ts";
import { readNumbered } from "../load/numbered.ts";
import { readOrderStatus } from "../load/orders.ts";
import { boardOf, BoardCopy } from "../load/scores.ts";
import { labNow } from "../plan.ts";
import type { Load } from "../scenario.ts";
import type { Tally } from "../tally.ts";
import type { Tops } from "./messages.ts";

export interface MemberDeps {
  role: Role;
  line: Line;
  load: Load["type"];
  tally: Tally;
}

/** What a publication says of itself. */
interface Content {
  number?: number | undefined;
  /** When what it shows was to be sent. */
  sentAt: readonly number[];
}

/** One reader of the audience: what it lives through is measured, what it reads is kept for the judge. */
export class Member implements ReaderWatch {
  readonly role: Role;
  readonly line: Line;
  readonly #load: Load["type"];
  readonly #tally: Tally;
  readonly #readings: ReadonlyMap<string, Reading>;
  readonly #boards = new Map<string, BoardCopy>();
  #reader: Reader | undefined;
  #nodeId: string | undefined;
  /** What is sent from then on reaches it live, as far as it is concerned. */
  #readySince = Number.POSITIVE_INFINITY;
  /** When it began to connect, or lost its connection. */
  #awaySince = 0;
  #wasReady = false;

  constructor({ role, line, load, tally }: MemberDeps) {
    this.role = role;
    this.line = line;
    this.#load = load;
    this.#tally = tally;
    this.#readings = new Map(role.channels.map((channel) => [channel, new Reading()]));
  }

  /** The node it reads through; undefined while it does not read. */
  get node(): string | undefined {
    return this.isReading ? (this.#nodeId ?? "") : undefined;
  }

  get isReading(): boolean {
    return this.#readySince < Number.POSITIVE_INFINITY;
  }

  /** It read, and is to come back. */
  get isAway(): boolean {
    return this.#wasReady && !this.isReading;
  }

  open(reader: Reader): void {
    this.#reader = reader;
    this.#awaySince = labNow();
    reader.open();
  }

  close(): void {
    this.#reader?.close();
  }

  cut(): void {
    if (!this.isReading) return;
    this.#tally.count("cut");
    this.line.cut();
  }

  /** Reads nothing for a while; what comes of it is not the house's latency. */
  stall(forMs: number): void {
    if (!this.isReading) return;
    this.#tally.count("stalled");
    this.#readySince = Number.POSITIVE_INFINITY;
    this.line.clog();
    setTimeout(() => {
      this.#readySince = Math.min(this.#readySince, labNow());
      this.line.flow();
    }, forMs);
  }

  ready(nodeId: string | undefined): void {
    this.#nodeId = nodeId;
    if (this.isReading) return;
    this.#readySince = labNow();
    this.#tally.count("ready");
    this.#tally.record(this.#wasReady ? "return" : "connect", this.#readySince - this.#awaySince);
    this.#wasReady = true;
  }

  lost(reason: string): void {
    this.#tally.count(`lost:${reason}`);
    this.#readySince = Number.POSITIVE_INFINITY;
    this.#awaySince = labNow();
  }

  refused(code: string): void {
    this.#tally.count(`refused:${code}`);
  }

  closing(code: string): void {
    this.#tally.count(`closing:${code}`);
  }

  began(channel: string, place: Received["place"], snapshot: unknown): void {
    this.#readings.get(channel)?.begin(labNow(), place);
    this.#setBoard(channel, snapshot);
  }

  told(channel: string, place: NonNullable<Received["place"]>, snapshot: unknown): void {
    this.#tally.count("told");
    this.#readings.get(channel)?.tell(labNow(), place);
    this.#setBoard(channel, snapshot);
  }

  publication(channel: string, received: Received): void {
    const reading = this.#readings.get(channel);
    if (reading === undefined) return this.#tally.count("foreign");
    const now = labNow();
    const { number, sentAt } = this.#contentOf(channel, received);
    reading.take({ place: received.place, number });
    this.#tally.count("delivered");
    for (const moment of sentAt) this.#tally.record(moment >= this.#readySince ? "live" : "late", now - moment);
  }

  judge(verdict: Verdict, ledger: Ledger, tops: Tops): void {
    const { kind, index } = this.role;
    for (const [channel, reading] of this.#readings)
      addReading(verdict, `reader ${index} (${kind}) ${channel}`, reading.judge(ledger.get(channel)), reading.hasBegun);
    for (const [channel, board] of this.#boards) {
      const top = tops[boardOf(channel)];
      if (top === undefined) continue;
      verdict.boards += 1;
      if (board.equals(top)) continue;
      verdict.wrongBoards += 1;
      addExample(verdict, `reader ${index} (${kind}) ${channel}: differs from the gateway's board`);
    }
  }

  #contentOf(channel: string, { event, data }: Received): Content {
    if (this.#load === "scores") return { sentAt: this.#boards.get(channel)?.apply(event, data) ?? [] };
    const { number, sentAt } = this.#load === "orders" ? readOrderStatus(data) : readNumbered(data);
    return { number, sentAt: sentAt === undefined ? [] : [sentAt] };
  }

  #setBoard(channel: string, snapshot: unknown): void {
    if (this.#load === "scores" && snapshot !== undefined) this.#boards.set(channel, new BoardCopy(snapshot));
  }
}
