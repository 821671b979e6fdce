/** What was published into one channel. Its publisher numbers from 1 and sends in that order, one call after the other. */
export interface ChannelLedger {
  /** When each was sent for the first time, by number less one; epoch milliseconds, growing. */
  readonly sentAt: readonly number[];
  /** Numbers that nobody confirmed: they may stand or not, so nobody is owed them. */
  readonly unconfirmed: ReadonlySet<number>;
  /** Numbers sent again after later ones had been taken: their order is nobody's promise. */
  readonly outOfTurn: ReadonlySet<number>;
}

/** By channel. */
export type Ledger = ReadonlyMap<string, ChannelLedger>;

/** The same on its way to another process. */
export type LedgerParts = Record<string, { sentAt: readonly number[]; unconfirmed: number[]; outOfTurn: number[] }>;

export function toParts(ledger: Ledger): LedgerParts {
  const parts = [...ledger].map(([channel, { sentAt, unconfirmed, outOfTurn }]) => [
    channel,
    { sentAt, unconfirmed: [...unconfirmed], outOfTurn: [...outOfTurn] },
  ]);
  return Object.fromEntries(parts) as LedgerParts;
}

export function fromParts(parts: LedgerParts): Ledger {
  const ledgers = Object.entries(parts).map(([channel, { sentAt, unconfirmed, outOfTurn }]) => {
    const ledger: ChannelLedger = { sentAt, unconfirmed: new Set(unconfirmed), outOfTurn: new Set(outOfTurn) };
    return [channel, ledger] as const;
  });
  return new Map(ledgers);
}

/** How many of a channel's publications stand. */
export const confirmedOf = ({ sentAt, unconfirmed }: ChannelLedger): number => sentAt.length - unconfirmed.size;

/** The first number that was sent at `moment` or later; one more than all where there is none. */
export function firstSentFrom({ sentAt }: ChannelLedger, moment: number): number {
  let low = 0;
  let high = sentAt.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sentAt[middle] as number) < moment) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}
