/** How often each user stands in a channel. */
export type Counts = ReadonlyMap<string, number>;

/** What one node said of its members in a channel: absolute counts, 0 for those who left. */
export interface MembersWrite {
  node: string;
  counts: Counts;
  /** These are all; what the node said before is no longer so. */
  isWhole: boolean;
  /** The node's name before its lease ended: what stands under it is no longer so. */
  former: string | undefined;
}

/** The same as the feed brings it: `before` is the channel's revision that it follows on, 0 where there was none. */
export interface MembersChange extends MembersWrite {
  revision: number;
  before: number;
}

/** A channel's members by node, at a revision; 0 where it has none. */
export interface Membership {
  revision: number;
  /** The revision before the first; another one where the store has forgotten the channel in between. */
  since: number;
  nodes: ReadonlyMap<string, Counts>;
}

/** The part of a feed message that the node writes itself. */
export function formatWrite({ node, counts, isWhole, former }: MembersWrite): string {
  return JSON.stringify([node, isWhole ? 1 : 0, former ?? "", [...counts]]);
}

/** `<revision>:<before>:<write>`; undefined for anything else. */
export function parseChange(message: Buffer): MembersChange | undefined {
  const match = /^(\d{1,16}):(\d{1,16}):(.*)$/s.exec(message.toString());
  const write = match === null ? undefined : parseWrite(match[3] as string);
  if (match === null || write === undefined) return undefined;
  return { ...write, revision: Number(match[1]), before: Number(match[2]) };
}

function parseWrite(text: string): MembersWrite | undefined {
  const [node, isWhole, former, counts] = parseArray(text);
  if (typeof node !== "string" || typeof former !== "string" || !Array.isArray(counts)) return undefined;
  if (node === "" || !counts.every(isCount)) return undefined;
  return { node, isWhole: isWhole === 1, former: former === "" ? undefined : former, counts: new Map(counts) };
}

/** Empty for anything but an array. */
function parseArray(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function isCount(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [user, count] = value as [unknown, unknown];
  return typeof user === "string" && Number.isSafeInteger(count) && (count as number) >= 0;
}
