import type { Position } from "../../protocol/wire.ts";
import { firstSentFrom, type ChannelLedger } from "./ledger.ts";
import { Sequence, type Fit } from "./sequence.ts";

/** A publication as it reached a reader: its place, where the house numbers, and its publisher's own number. */
export interface Delivery {
  place?: Position | undefined;
  number?: number | undefined;
}

/** What became of one reader's channel. All but the first two and `told` are to be 0. */
export interface ReadingVerdict {
  /** Publications that were confirmed to the publisher and sent after this reader was told that it reads. */
  owed: number;
  /** Of these, how many came. */
  arrived: number;
  /** And how many did not. */
  lost: number;
  /** How many of the lost ones the reader was told of: `recovered: false`. */
  told: number;
  /** Deliveries of what it had. */
  repeated: number;
  /** Deliveries behind later ones, and publications whose order is not their publisher's. */
  reordered: number;
  /** Publications that stand at two places of the channel. */
  doubled: number;
  /** Places of the channel that it never saw and was not told about, whoever published there. */
  holes: number;
}

/** Most late numbers remembered until the ledger says whether they were in turn. */
const mostLate = 1_000;

/** One reader in one channel: what it was told, what came, and in the end what that is worth. */
export class Reading {
  #epoch: string | undefined;
  #places = new Sequence();
  readonly #numbers = new Sequence();
  readonly #lateNumbers: number[] = [];
  #beganAt: number | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;
  #repeated = 0;
  #reordered = 0;
  #doubled = 0;
  #earlierHoles = 0;

  get hasBegun(): boolean {
    return this.#beganAt !== undefined;
  }

  /** The reader was told that it reads, and from which place where the house numbers. */
  begin(at: number, place?: Position): void {
    this.#beganAt ??= at;
    if (place !== undefined) this.#goOn(place);
  }

  /** The reader was told that something is lost, and where it goes on. */
  tell(at: number, place: Position): void {
    this.#toldAt = at;
    this.#goOn(place);
  }

  take({ place, number }: Delivery): void {
    const fit = place === undefined ? undefined : this.#takePlace(place);
    if (number !== undefined) this.#takeNumber(number, fit);
  }

  judge(ledger: ChannelLedger | undefined): ReadingVerdict {
    const lost = ledger === undefined ? [] : this.#lostOf(ledger);
    const owed = ledger === undefined ? 0 : this.#owedOf(ledger);
    const isInTurn = (number: number): boolean => ledger?.outOfTurn.has(number) !== true;
    return {
      owed,
      arrived: owed - lost.length,
      lost: lost.length,
      told: lost.filter((number) => (ledger?.sentAt[number - 1] ?? 0) < this.#toldAt).length,
      repeated: this.#repeated,
      reordered: this.#reordered + this.#lateNumbers.filter(isInTurn).length,
      doubled: this.#doubled,
      holes: this.#earlierHoles + this.#places.missing,
    };
  }

  #goOn({ epoch, offset }: Position): void {
    this.#earlierHoles += this.#places.missing;
    this.#epoch = epoch;
    this.#places = new Sequence(offset);
  }

  #takePlace({ epoch, offset }: Position): Fit {
    if (epoch !== this.#epoch) {
      // The next place in another epoch: a generation of the same log. Else another log than it was told to read, or it
      // was not told to read at all.
      const isGeneration = this.#epoch !== undefined && offset === this.#places.last + 1;
      this.#goOn({ epoch, offset: offset - 1 });
      if (!isGeneration) this.#earlierHoles += 1;
    }
    const fit = this.#places.take(offset);
    this.#count(fit);
    return fit;
  }

  /** With places they say what is a repeat; a number that comes back at a new place is a publication that stands twice. */
  #takeNumber(number: number, fitOfPlace: Fit | undefined): void {
    const fit = this.#numbers.take(number);
    if (fitOfPlace === undefined) return this.#count(fit);
    if (fit === "repeated" && fitOfPlace !== "repeated") this.#doubled += 1;
    if (fit === "late" && fitOfPlace !== "late" && this.#lateNumbers.length < mostLate) this.#lateNumbers.push(number);
  }

  #count(fit: Fit): void {
    if (fit === "repeated") this.#repeated += 1;
    if (fit === "late") this.#reordered += 1;
  }

  #owedOf(ledger: ChannelLedger): number {
    const from = this.#owedFrom(ledger);
    const unconfirmed = [...ledger.unconfirmed].filter((number) => number >= from).length;
    return ledger.sentAt.length - from + 1 - unconfirmed;
  }

  #lostOf(ledger: ChannelLedger): number[] {
    const absent = this.#numbers.absent(this.#owedFrom(ledger), ledger.sentAt.length);
    return [...absent].filter((number) => !ledger.unconfirmed.has(number));
  }

  #owedFrom(ledger: ChannelLedger): number {
    return firstSentFrom(ledger, this.#beganAt ?? Number.POSITIVE_INFINITY);
  }
}
