/** How often each user stands in a channel. */
export type Counts = ReadonlyMap<string, number>;

/** What one node said of its members in a channel: absolute counts, 0 for those who left. */
export interface MembersWrite {
  node: string;
  counts: Counts;
  /** How many of those were cut off and are expected back; none of a user that is not here. Told, and not stored. */
  absent?: Counts | undefined;
  /** These are all; what the node said before is no longer so. */
  isWhole: boolean;
  /** The node's name before its lease ended: what stands under it is no longer so. */
  formerNode: string | undefined;
}

/** The same as the feed brings it: `before` is the channel's revision that it follows on, 0 where there was none. */
export interface MembersChange extends MembersWrite {
  revision: number;
  before: number;
}

/** A channel's members by node, at a revision; 0 where it has none. */
export interface StoredMembers {
  revision: number;
  /** The revision before the first; another one where the store has forgotten the channel in between. */
  since: number;
  nodes: ReadonlyMap<string, Counts>;
}

/** The part of a feed message that the node writes itself. */
export function formatWrite({ node, counts, absent, isWhole, formerNode }: MembersWrite): string {
  const parts = [node, isWhole ? 1 : 0, formerNode ?? "", [...counts]];
  return JSON.stringify(absent === undefined ? parts : [...parts, [...absent]]);
}

/** `<revision>:<before>:<write>`; undefined for anything else. */
export function parseChange(message: Buffer): MembersChange | undefined {
  const match = /^(\d{1,16}):(\d{1,16}):(.*)$/s.exec(message.toString());
  const write = match === null ? undefined : parseWrite(match[3] as string);
  if (match === null || write === undefined) return undefined;
  return { ...write, revision: Number(match[1]), before: Number(match[2]) };
}

function parseWrite(text: string): MembersWrite | undefined {
  const [node, isWhole, formerNode, counts, absent] = parseArray(text);
  if (typeof node !== "string" || typeof formerNode !== "string" || node === "") return undefined;
  if (!isCounts(counts) || (absent !== undefined && !isCounts(absent))) return undefined;
  const write = {
    node,
    isWhole: isWhole === 1,
    formerNode: formerNode === "" ? undefined : formerNode,
    counts: new Map(counts),
  };
  return absent === undefined ? write : { ...write, absent: new Map(absent) };
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

const isCounts = (value: unknown): value is [string, number][] => Array.isArray(value) && value.every(isCount);

function isCount(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [user, count] = value as [unknown, unknown];
  return typeof user === "string" && Number.isSafeInteger(count) && (count as number) >= 0;
}
