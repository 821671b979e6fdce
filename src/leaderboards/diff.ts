import type { BoardEntry } from "../protocol/board.ts";

/** An entry of a top, which is sorted by rank. `data` is JSON text, as stored. */
export interface TopEntry {
  member: string;
  score: number;
  data: string | undefined;
}

/** An entry that is new or has changed. */
export interface TopChange extends TopEntry {
  rank: number;
  previousRank: number | null;
}

export interface TopDiff {
  changes: TopChange[];
  removed: string[];
}

/** The difference between two tops. Both lists are empty if nothing has changed. */
export function diffTop(before: readonly TopEntry[], after: readonly TopEntry[]): TopDiff {
  const ranks = new Map(before.map((entry, index) => [entry.member, index + 1]));
  const changes: TopChange[] = [];
  for (const [index, entry] of after.entries()) {
    const previousRank = ranks.get(entry.member) ?? null;
    ranks.delete(entry.member);
    const known = previousRank === null ? undefined : before[previousRank - 1];
    if (previousRank !== index + 1 || !isSame(known, entry)) changes.push({ ...entry, rank: index + 1, previousRank });
  }
  return { changes, removed: [...ranks.keys()] };
}

const isSame = (known: TopEntry | undefined, entry: TopEntry): boolean =>
  known !== undefined && known.score === entry.score && known.data === entry.data;

export const isEmpty = ({ changes, removed }: TopDiff): boolean => changes.length === 0 && removed.length === 0;

/** `leaderboard.diff` as JSON text. */
export function diffJson(board: string, revision: number, total: number, { changes, removed }: TopDiff): string {
  const rows = changes.map(
    ({ member, rank, previousRank, score, data }) =>
      `{"member":${JSON.stringify(member)},"rank":${rank},"previousRank":${previousRank},"score":${score}${dataField(data)}}`,
  );
  const head = `{"board":${JSON.stringify(board)},"revision":${revision},"total":${total}`;
  return `${head},"changes":[${rows.join(",")}],"removed":${JSON.stringify(removed)}}`;
}

const dataField = (data: string | undefined): string => (data === undefined ? "" : `,"data":${data}`);

/** A top as stored between two diffs: `[[member, score, data], …]`. */
export function topJson(entries: readonly TopEntry[]): string {
  return JSON.stringify(entries.map(({ member, score, data }) => [member, score, data ?? null]));
}

export function parseTop(json: string): TopEntry[] {
  if (json === "") return [];
  const rows = JSON.parse(json) as [string, number, string | null][];
  return rows.map(([member, score, data]) => ({ member, score, data: data ?? undefined }));
}

/** A top as sent to subscribers. */
export function toEntries(top: readonly TopEntry[]): BoardEntry[] {
  return top.map(({ member, score, data }, index) => toEntry({ rank: index + 1, member, score }, data));
}

/** An entry with its data, if it has any. */
export function toEntry<E extends object>(entry: E, data: string | undefined): E & { data?: unknown } {
  return data === undefined ? entry : { ...entry, data: JSON.parse(data) as unknown };
}
