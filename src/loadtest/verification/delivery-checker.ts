import type { Position } from "../../protocol/wire.ts";
import { firstSentFrom, type ChannelPublishLog } from "./publish-log.ts";
import { Sequence, type SequenceResult } from "./sequence.ts";

/** A received publication: its position, if the target has positions, and the publisher's number. */
export interface ObservedDelivery {
  position?: Position | undefined;
  number?: number | undefined;
}

/** Counts for one reader and channel. All but `expected`, `arrived` and `reported` should be 0. */
export interface DeliveryCounts {
  /** Publications that were confirmed to the publisher and sent after the reader's subscription was acknowledged. */
  expected: number;
  /** Expected publications that arrived. */
  arrived: number;
  /** Expected publications that did not arrive. */
  lost: number;
  /** Lost publications that the reader was notified of: `recovered: false`. */
  reported: number;
  /** Deliveries of publications it already had. */
  repeated: number;
  /** Deliveries after later ones, and publications in another order than published. */
  reordered: number;
  /** Publications at two positions of the channel. */
  duplicated: number;
  /** Positions that never arrived and were not reported, whoever published there. */
  gaps: number;
}

/** Max late numbers kept until the publish log shows whether they were reordered by a retry. */
const maxLate = 1_000;

/** Checks the deliveries of one channel to one reader. */
export class DeliveryChecker {
  #epoch: string | undefined;
  #positions = new Sequence();
  readonly #numbers = new Sequence();
  readonly #lateNumbers: number[] = [];
  #subscribedAt: number | undefined;
  #resetAt = Number.NEGATIVE_INFINITY;
  #repeated = 0;
  #reordered = 0;
  #duplicated = 0;
  #earlierGaps = 0;

  get hasSubscribed(): boolean {
    return this.#subscribedAt !== undefined;
  }

  /** The subscription was acknowledged, from this position if the target has positions. */
  subscribed(at: number, place?: Position): void {
    this.#subscribedAt ??= at;
    if (place !== undefined) this.#restartAt(place);
  }

  /** The reader was notified of a loss; the channel continues at `position`. */
  reset(at: number, place: Position): void {
    this.#resetAt = at;
    this.#restartAt(place);
  }

  received({ position: place, number }: ObservedDelivery): void {
    const result = place === undefined ? undefined : this.#checkPosition(place);
    if (number !== undefined) this.#checkNumber(number, result);
  }

  evaluate(publishLog: ChannelPublishLog | undefined): DeliveryCounts {
    const lost = publishLog === undefined ? [] : this.#lostNumbers(publishLog);
    const expected = publishLog === undefined ? 0 : this.#expectedCount(publishLog);
    const isInTurn = (number: number): boolean => publishLog?.outOfOrder.has(number) !== true;
    return {
      expected,
      arrived: expected - lost.length,
      lost: lost.length,
      reported: lost.filter((number) => (publishLog?.sentAt[number - 1] ?? 0) < this.#resetAt).length,
      repeated: this.#repeated,
      reordered: this.#reordered + this.#lateNumbers.filter(isInTurn).length,
      duplicated: this.#duplicated,
      gaps: this.#earlierGaps + this.#positions.missing,
    };
  }

  #restartAt({ epoch, offset }: Position): void {
    this.#earlierGaps += this.#positions.missing;
    this.#epoch = epoch;
    this.#positions = new Sequence(offset);
  }

  #checkPosition({ epoch, offset }: Position): SequenceResult {
    if (epoch !== this.#epoch) {
      // The next offset in another epoch is a generation of the same log. Otherwise it is another log, or the reader
      // was
      // not subscribed.
      const isGeneration = this.#epoch !== undefined && offset === this.#positions.last + 1;
      this.#restartAt({ epoch, offset: offset - 1 });
      if (!isGeneration) this.#earlierGaps += 1;
    }
    const result = this.#positions.take(offset);
    this.#count(result);
    return result;
  }

  /** With positions, a number that repeats at a new position is a duplicated publication. */
  #checkNumber(number: number, positionResult: SequenceResult | undefined): void {
    const result = this.#numbers.take(number);
    if (positionResult === undefined) return this.#count(result);
    if (result === "repeated" && positionResult !== "repeated") this.#duplicated += 1;
    if (result === "late" && positionResult !== "late" && this.#lateNumbers.length < maxLate)
      this.#lateNumbers.push(number);
  }

  #count(result: SequenceResult): void {
    if (result === "repeated") this.#repeated += 1;
    if (result === "late") this.#reordered += 1;
  }

  #expectedCount(publishLog: ChannelPublishLog): number {
    const from = this.#firstExpected(publishLog);
    const unconfirmed = [...publishLog.unconfirmed].filter((number) => number >= from).length;
    return publishLog.sentAt.length - from + 1 - unconfirmed;
  }

  #lostNumbers(publishLog: ChannelPublishLog): number[] {
    const absent = this.#numbers.absent(this.#firstExpected(publishLog), publishLog.sentAt.length);
    return [...absent].filter((number) => !publishLog.unconfirmed.has(number));
  }

  #firstExpected(publishLog: ChannelPublishLog): number {
    return firstSentFrom(publishLog, this.#subscribedAt ?? Number.POSITIVE_INFINITY);
  }
}
