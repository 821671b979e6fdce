/** What a run showed. Everything but the first two and `told` is to be 0. */
export interface Verdict {
  /** Publications whose publisher was told that they were published. */
  acknowledged: number;
  /** Over all readers. */
  delivered: number;
  /** Acknowledged publications that a reader was owed and never got, over all readers. */
  lost: number;
  /** Deliveries at or before the reader's position. */
  repeated: number;
  /** Deliveries that came behind later ones, and acknowledgements that contradict the order of publishing. */
  reordered: number;
  /** Publications that stand at two places of a channel. */
  duplicated: number;
  /** Places of a channel that hold two publications. */
  forked: number;
  /** Times a reader was notified that what it missed is lost. */
  reported: number;
  /** Offsets a reader never saw and was never notified of, whether acknowledged or not. */
  unreported: number;
}

export interface Place {
  epoch: string;
  offset: number;
}

export interface Acknowledgement extends Place {
  channel: string;
  id: string;
  /** First try, by one clock for the whole history. */
  sentAt: number;
  acknowledgedAt: number;
}

export interface Delivery extends Place {
  reader: string;
  channel: string;
  id: string;
  /** Through which node and connection, for whoever looks for the cause. */
  through?: string;
}

/** A reader of a channel has everything after `place`, as it was told. */
export interface Beginning extends Place {
  reader: string;
  channel: string;
  at: number;
}

/**
 * Every publication with its acknowledgement, every delivery with its offset, every word to a reader that something is
 * gone; and one verdict over them. No clock, no network: what is written down here is all that counts.
 */
export class History {
  readonly #publications = new Map<string, Publications>();
  readonly #readings = new Map<string, Reading>();
  readonly #examples: string[] = [];
  #lost: string[] = [];
  #delivered = 0;

  acknowledged(acknowledgement: Acknowledgement): void {
    this.#of(acknowledgement.channel).acknowledge(acknowledgement);
  }

  /** The reader's first subscription to the channel was answered. */
  began(beginning: Beginning): void {
    this.#reading(beginning).begin(beginning);
  }

  /** The reader was told that it goes on at another place, and that what is in between is gone. */
  reset(beginning: Beginning): void {
    const reading = this.#reading(beginning);
    reading.reported++;
    reading.begin(beginning);
  }

  delivered(delivery: Delivery): void {
    this.#delivered++;
    this.#of(delivery.channel).see(delivery);
    const problem = this.#reading(delivery).take(delivery);
    if (problem !== undefined) note(this.#examples, problem, delivery);
  }

  verdict(): Verdict {
    this.#lost = [];
    const publications = [...this.#publications.values()];
    const readings = [...this.#readings.values()];
    const lost = readings.map((reading) => this.#lostTo(reading));
    const hidden = readings.map((reading) => reading.hiddenBy(this.#of(reading.channel)));
    return {
      acknowledged: sum(publications.map(({ acknowledgements }) => acknowledgements.length)),
      delivered: this.#delivered,
      lost: sum(lost),
      repeated: sum(readings.map(({ repeated }) => repeated)),
      reordered: sum(readings.map(({ reordered }) => reordered)) + sum(publications.map(countContradictions)),
      duplicated: sum(publications.map(({ duplicated }) => duplicated)),
      forked: sum(publications.map(({ forked }) => forked)),
      reported: sum(readings.map(({ reported }) => reported)),
      unreported: sum(readings.map(({ unreported }) => unreported)) + sum(hidden),
    };
  }

  /** The first problems, in words; what is lost is as of the last verdict. */
  get examples(): readonly string[] {
    return [...this.#examples, ...this.#lost];
  }

  #of(channel: string): Publications {
    const known = this.#publications.get(channel) ?? new Publications();
    this.#publications.set(channel, known);
    return known;
  }

  #reading({ reader, channel }: { reader: string; channel: string }): Reading {
    const key = `${reader} ${channel}`;
    const known = this.#readings.get(key) ?? new Reading(reader, channel);
    this.#readings.set(key, known);
    return known;
  }

  #lostTo(reading: Reading): number {
    const lost = this.#of(reading.channel).acknowledgements.filter((each) => reading.wasOwed(each));
    for (const each of lost) note(this.#lost, "lost", { ...each, reader: reading.reader });
    return lost.length;
  }
}

const mostExamples = 10;

function note(examples: string[], problem: string, delivery: Delivery): void {
  const { reader, channel, epoch, offset, id, through = "" } = delivery;
  if (examples.length < mostExamples)
    examples.push(`${problem}: ${reader} ${channel} ${epoch}:${offset} ${id} ${through}`);
}

/** What is known of one channel's publications. */
class Publications {
  readonly acknowledgements: Acknowledgement[] = [];
  duplicated = 0;
  forked = 0;
  /** The lowest offset of each epoch. */
  readonly lowest = new Map<string, number>();
  readonly #idAt = new Map<string, string>();
  readonly #placeOf = new Map<string, string>();

  acknowledge(acknowledgement: Acknowledgement): void {
    this.acknowledgements.push(acknowledgement);
    this.see(acknowledgement);
  }

  see({ epoch, offset, id }: Place & { id: string }): void {
    const place = `${epoch}:${offset}`;
    this.lowest.set(epoch, Math.min(offset, this.lowest.get(epoch) ?? offset));
    const idThere = this.#idAt.get(place);
    const placeBefore = this.#placeOf.get(id);
    if (idThere === undefined) this.#idAt.set(place, id);
    else if (idThere !== id) this.forked++;
    if (placeBefore === undefined) this.#placeOf.set(id, place);
    else if (placeBefore !== place && idThere === undefined) this.duplicated++;
  }
}

/** One stretch of a channel that a reader read without a reported loss. */
interface Stretch extends Place {
  /** What it was given to begin with; `offset` moves on. */
  readonly from: number;
  readonly beganAt: number;
  /** It goes on behind another epoch, unreported: as a generation of the same log may, and nothing else. */
  readonly isGeneration?: boolean;
  /** What was read there, beginning behind `from`. */
  readonly ids: string[];
  /** Offsets that were skipped and have not come since. */
  readonly missing: Set<number>;
}

/** One reader in one channel. */
class Reading {
  readonly reader: string;
  readonly channel: string;
  repeated = 0;
  reordered = 0;
  reported = 0;
  readonly #stretches: Stretch[] = [];

  constructor(reader: string, channel: string) {
    this.reader = reader;
    this.channel = channel;
  }

  get unreported(): number {
    return sum(this.#stretches.map(({ missing }) => missing.size));
  }

  begin({ epoch, offset, at }: Place & { at: number }): void {
    this.#stretches.push({ epoch, offset, from: offset, beganAt: at, ids: [], missing: new Set() });
  }

  /** What is wrong with it, in a word. */
  take({ epoch, offset, id }: Place & { id: string }): string | undefined {
    const stretch = this.#stretches.at(-1);
    if (stretch === undefined) return this.#early();
    if (epoch !== stretch.epoch && offset === stretch.offset + 1) return this.#inNextGeneration({ epoch, offset, id });
    if (epoch !== stretch.epoch) return this.#inAnotherEpoch({ epoch, offset }, stretch);
    if (offset <= stretch.offset && !stretch.missing.has(offset)) return this.#again();
    stretch.ids[offset - stretch.from - 1] = id;
    if (stretch.missing.delete(offset)) return this.#late();
    return this.#advance(stretch, offset);
  }

  /** Generations that hold publications at places which the reader took for those of the one before. */
  hiddenBy({ lowest }: Publications): number {
    const hiding = this.#stretches.filter(
      ({ isGeneration, epoch, from }) => isGeneration === true && (lowest.get(epoch) ?? from + 1) <= from,
    );
    return hiding.length;
  }

  /** Whether it should have got the publication, did not, and was not notified. */
  wasOwed({ epoch, offset, id, sentAt }: Acknowledgement): boolean {
    const last = this.#stretches.at(-1);
    if (last === undefined) return false;
    const stretches = this.#stretches.filter((stretch) => stretch.epoch === epoch);
    if (stretches.length === 0) return sentAt > last.beganAt;
    if (stretches.some(({ missing }) => missing.has(offset))) return true;
    // Beyond what it read, or another publication in its place.
    return last.epoch === epoch && offset > last.from && last.ids[offset - last.from - 1] !== id;
  }

  #early(): string {
    this.reordered++;
    return "before its subscription was answered";
  }

  #again(): string {
    this.repeated++;
    return "repeated";
  }

  #late(): string {
    this.reordered++;
    return "late";
  }

  #advance(stretch: Stretch, offset: number): string | undefined {
    const skipped = offset - stretch.offset - 1;
    for (let missing = stretch.offset + 1; missing < offset; missing++) stretch.missing.add(missing);
    stretch.offset = offset;
    return skipped === 0 ? undefined : `${skipped} skipped before`;
  }

  #inNextGeneration({ epoch, offset, id }: Place & { id: string }): undefined {
    const { beganAt = 0 } = this.#stretches.at(-1) ?? {};
    const from = offset - 1;
    this.#stretches.push({ epoch, offset, from, beganAt, isGeneration: true, ids: [id], missing: new Set() });
  }

  /** Nobody said that the epoch ended. */
  #inAnotherEpoch({ epoch, offset }: Place, { beganAt }: Stretch): string {
    const missing = new Set([0]);
    this.#stretches.push({ epoch, offset, from: offset, beganAt, ids: [], missing });
    return "of another epoch, unreported";
  }
}

/** Publications sent after another was acknowledged must stand behind it. */
function countContradictions({ acknowledgements }: Publications): number {
  let count = 0;
  const latestSent = new Map<string, number>();
  for (const { epoch, sentAt, acknowledgedAt } of acknowledgements.toSorted((a, b) => a.offset - b.offset)) {
    const latest = latestSent.get(epoch) ?? Number.NEGATIVE_INFINITY;
    if (latest > acknowledgedAt) count++;
    latestSent.set(epoch, Math.max(latest, sentAt));
  }
  return count;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
