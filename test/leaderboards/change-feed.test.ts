import { expect, it } from "vitest";
import { promised, timed } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { isNotified, startBoardNode, viewBoard } from "./board-node.ts";

it("a change reaches subscribers by its notice, long before a sweep would find it", async () => {
  const prefix = freshPrefix();
  const writing = await startBoardNode({ prefix });
  const watching = await startBoardNode({ prefix, sweepMs: 60_000 });
  const viewer = await viewBoard(watching, "b");
  await isNotified(watching, "b");

  for (let score = 1; score <= 3; score += 1) {
    await writing.leaderboards.submit("b", { member: "a", score });
    await eventually(() => expect(viewer.board().entries[0]?.score).toBe(score));
  }
});

it("a change whose notice was lost is found by the sweep within a second", timed, async () => {
  const node = await startBoardNode();
  const viewer = await viewBoard(node, "b");
  await node.leaderboards.submit("b", { member: "a", score: 1 });
  await eventually(() => expect(viewer.board().entries[0]?.score).toBe(1));

  await node.redis.connection("subscriber").sunsubscribe(node.keys.boardTouched("b"));
  await node.leaderboards.submit("b", { member: "a", score: 2 });

  await eventually(() => expect(viewer.board().entries[0]?.score).toBe(2), promised(1_000));
});
