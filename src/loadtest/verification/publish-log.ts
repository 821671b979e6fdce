/** Publications sent to one channel. The publisher numbers them from 1 and sends them in order, one call at a time. */
export interface ChannelPublishLog {
  /** First send time of each, indexed by number - 1; epoch milliseconds, ascending. */
  readonly sentAt: readonly number[];
  /** Numbers without a confirmation: they may have been published or not, so no reader must receive them. */
  readonly unconfirmed: ReadonlySet<number>;
  /** Numbers retried after later ones had been accepted: their order is not guaranteed. */
  readonly outOfOrder: ReadonlySet<number>;
}

/** By channel. */
export type PublishLog = ReadonlyMap<string, ChannelPublishLog>;

/** The same, serializable for another process. */
export type PublishLogParts = Record<
  string,
  { sentAt: readonly number[]; unconfirmed: number[]; outOfOrder: number[] }
>;

export function toParts(publishLog: PublishLog): PublishLogParts {
  const parts = [...publishLog].map(([channel, { sentAt, unconfirmed, outOfOrder }]) => [
    channel,
    { sentAt, unconfirmed: [...unconfirmed], outOfOrder: [...outOfOrder] },
  ]);
  return Object.fromEntries(parts) as PublishLogParts;
}

export function fromParts(parts: PublishLogParts): PublishLog {
  const logs = Object.entries(parts).map(([channel, { sentAt, unconfirmed, outOfOrder }]) => {
    const publishLog: ChannelPublishLog = {
      sentAt,
      unconfirmed: new Set(unconfirmed),
      outOfOrder: new Set(outOfOrder),
    };
    return [channel, publishLog] as const;
  });
  return new Map(logs);
}

/** Number of confirmed publications of a channel. */
export const confirmedOf = ({ sentAt, unconfirmed }: ChannelPublishLog): number => sentAt.length - unconfirmed.size;

/** The first number sent at `moment` or later; the last number + 1 if there is none. */
export function firstSentFrom({ sentAt }: ChannelPublishLog, moment: number): number {
  let low = 0;
  let high = sentAt.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sentAt[middle] as number) < moment) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}
