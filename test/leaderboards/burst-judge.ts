import { expect } from "vitest";
import type { BoardSnapshot } from "../../src/protocol/board.ts";
import type { BoardNode } from "./board-node.ts";

interface Row {
  member: string;
  score: number;
}

/**
 * Every top a board ever had, in order, worked out from what Redis took: each member was submitted once, so the places
 * tell the order of all submissions whoever sent them. Tops as JSON, each once, with its number.
 */
export async function topsOf(node: BoardNode, board: string, size: number): Promise<Map<string, number>> {
  const submissions = await submissionsInOrder(node, board);
  const tops = new Map<string, number>([[JSON.stringify([]), 0]]);
  const top: Row[] = [];
  for (const { member, score } of submissions) {
    const index = top.findIndex((row) => row.score < score);
    if (index === -1 && top.length >= size) continue;
    top.splice(index === -1 ? top.length : index, 0, { member, score });
    if (top.length > size) top.pop();
    tops.set(JSON.stringify(top), tops.size);
  }
  return tops;
}

/** Each revision is a top the board once had, none is older than the one before, and they are numbered without a hole. */
export function judgeRevisions(revisions: readonly BoardSnapshot[], tops: Map<string, number>): void {
  let last = -1;
  for (const [index, { revision, entries }] of revisions.entries()) {
    expect(revision).toBe(revisions[0]!.revision + index);
    expect(entries.map(({ rank }) => rank)).toEqual(entries.map((_, at) => at + 1));
    const number = tops.get(JSON.stringify(entries.map(({ member, score }) => ({ member, score }))));
    expect(number, `revision ${revision} is no top the board ever had`).toBeDefined();
    expect(number!).toBeGreaterThan(last);
    last = number!;
  }
}

async function submissionsInOrder({ commands, keys }: BoardNode, board: string): Promise<Row[]> {
  const rows: (Row & { stamp: number })[] = [];
  let cursor = "0";
  do {
    const [next, flat] = await commands.hscanBuffer(keys.boardPlaces(board, null), cursor, "COUNT", 10_000);
    for (let i = 0; i < flat.length; i += 2) rows.push(rowOf(flat[i]!, flat[i + 1]!));
    cursor = next.toString();
  } while (cursor !== "0");
  return rows.toSorted((a, b) => a.stamp - b.stamp);
}

function rowOf(member: Buffer, place: Buffer): Row & { stamp: number } {
  const stamp = Number.MAX_SAFE_INTEGER - (place.readUIntBE(0, 3) * 2 ** 32 + place.readUInt32BE(3));
  return { member: member.toString(), score: Number(place.toString("latin1", 7)), stamp };
}
