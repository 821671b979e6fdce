import { expect, it } from "vitest";
import { reader, recordingSubscriber } from "../support/nodes.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { eventually } from "../support/world.ts";
import { isNotified, startBoardNode, viewBoard } from "./board-node.ts";

it("boards, their diffs, ranks and notices keep to the slots of a Redis Cluster", async () => {
  const node = await startBoardNode({
    cluster: await clusterOfOne(),
    boards: { "*": { tickMs: 20 }, season: { season: "daily" } },
    sweepMs: 60_000,
  });
  const rank = recordingSubscriber();
  await node.channels.subscribe(rank, reader("ada"), "rank:b:ada");

  for (const board of ["b", "season", "{x}:y", "c"]) {
    const viewer = await viewBoard(node, board);
    await isNotified(node, board);
    await node.leaderboards.submitMany(board, [
      { member: "ada", score: 1, data: '"A"' },
      { member: "{bo}", score: 2 },
    ]);
    await node.leaderboards.remove(board, "{bo}");
    await eventually(() => expect(viewer.board().entries).toEqual([{ rank: 1, member: "ada", score: 1, data: "A" }]));
    expect((await node.leaderboards.around(board, "ada")).entry?.rank).toBe(1);
  }

  await eventually(() => expect(rank.seen.at(-1)?.data).toMatchObject({ rank: 1, score: 1 }));
});
