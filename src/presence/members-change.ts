/** Number of connections in a channel, by user. */
export type Counts = ReadonlyMap<string, number>;

/** What other members are shown of a user beside the number of connections. */
export interface MemberDetail {
  /** The public part of the user's session. */
  info?: unknown;
  /** What one of the connections has set last. */
  data?: unknown;
  /** When it was set, in epoch milliseconds; 0 without data. */
  at: number;
}

/** By user. */
export type Details = ReadonlyMap<string, MemberDetail>;

/** One node's write of its members in a channel: absolute counts, 0 for users who left. */
export interface MembersWrite {
  node: string;
  counts: Counts;
  /** Connections of these users that were cut off and may return. Published, not stored. */
  absent?: Counts | undefined;
  /** Of users in `counts`; the others among them have none. */
  details?: Details | undefined;
  /** The counts are complete and replace the node's earlier ones. */
  isWhole: boolean;
  /** The node's name before its lease ended: counts under it are void. */
  formerNode: string | undefined;
}

/** A write as received from the feed: `before` is the preceding revision of the channel, 0 if there was none. */
export interface MembersChange extends MembersWrite {
  revision: number;
  before: number;
}

/** A channel's members by node, at a revision; 0 if it has none. */
export interface StoredMembers {
  revision: number;
  /** The revision before the first one; it changes if the store dropped the channel in between. */
  since: number;
  nodes: ReadonlyMap<string, Counts>;
  /** By node; undefined if nothing is shown of any member. */
  details?: ReadonlyMap<string, Details> | undefined;
}

/** The part of a feed message written by the node. */
export function formatWrite({ node, counts, absent, details, isWhole, formerNode }: MembersWrite): string {
  const parts = [node, isWhole ? 1 : 0, formerNode ?? "", [...counts]];
  if (absent !== undefined || details !== undefined) parts.push([...(absent ?? [])]);
  return JSON.stringify(details === undefined ? parts : [...parts, [...details]]);
}

/** `<revision>:<before>:<write>`; undefined for anything else. */
export function parseChange(message: Buffer): MembersChange | undefined {
  const match = /^(\d{1,16}):(\d{1,16}):(.*)$/s.exec(message.toString());
  const write = match === null ? undefined : parseWrite(match[3] as string);
  if (match === null || write === undefined) return undefined;
  return { ...write, revision: Number(match[1]), before: Number(match[2]) };
}

function parseWrite(text: string): MembersWrite | undefined {
  const [node, isWhole, formerNode, counts, absent, details] = parseArray(text);
  if (typeof node !== "string" || typeof formerNode !== "string" || node === "") return undefined;
  if (!isCounts(counts) || (absent !== undefined && !isCounts(absent))) return undefined;
  if (details !== undefined && !isDetails(details)) return undefined;
  const write = {
    node,
    isWhole: isWhole === 1,
    formerNode: formerNode === "" ? undefined : formerNode,
    counts: new Map(counts),
  };
  return {
    ...write,
    ...(absent !== undefined && absent.length > 0 && { absent: new Map(absent) }),
    ...(details !== undefined && { details: new Map(details) }),
  };
}

/** Empty if it is not an array. */
function parseArray(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

const isCounts = (value: unknown): value is [string, number][] => Array.isArray(value) && value.every(isCount);

function isCount(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [user, count] = value as [unknown, unknown];
  return typeof user === "string" && Number.isSafeInteger(count) && (count as number) >= 0;
}

const isDetails = (value: unknown): value is [string, MemberDetail][] =>
  Array.isArray(value) &&
  value.every((pair) => Array.isArray(pair) && typeof pair[0] === "string" && isDetail(pair[1]));

export const isDetail = (value: unknown): value is MemberDetail =>
  typeof value === "object" && value !== null && typeof (value as { at?: unknown }).at === "number";
