import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { createTickStore } from "../../src/leaderboards/tick-store.ts";
import { createBoardKeys } from "../../src/leaderboards/board-keys.ts";
import { createBoards } from "../../src/leaderboards/boards.ts";
import { SeasonClock } from "../../src/leaderboards/season-clock.ts";
import { createKinds } from "../../src/channels/kinds.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { promised, timed } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { startBoardNode, viewBoard, type BoardNode, type BoardViewer } from "./board-node.ts";
import { judgeRevisions, topsOf } from "./burst-judge.ts";
import { seeded } from "../support/random.ts";

/** Short here; `BOARD_MEMBERS=1000000 BOARD_SUBMISSIONS=100000 BOARD_CLIENTS=1000` makes it the long one. */
const members = Number(process.env.BOARD_MEMBERS ?? 2_000);
const submissions = Number(process.env.BOARD_SUBMISSIONS ?? 15_000);
const clients = Number(process.env.BOARD_CLIENTS ?? 60);
const timeoutMs = 30_000 + (members + submissions) / 2;

const top = 10;
const boards = { burst: { top, tickMs: 100 } };

describe("a burst of scores", () => {
  it(
    "leaves every client, at every revision, with a top that the board had, and at the end with the one it has",
    async () => {
      const prefix = freshPrefix();
      const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards })));
      await fill(nodes[0]!, members);
      const viewers = await Promise.all(
        Array.from({ length: clients }, (_, index) => viewBoard(nodes[index % 3]!, "burst", `u${index}`)),
      );

      await Promise.all(nodes.map((node, index) => submitBurst(node, index, submissions / nodes.length)));

      await finalTop(viewers, nodes[0]!);
      await judge(viewers, nodes[0]!);
      for (const { publications } of viewers) {
        const times = publications.map(({ publishedAt }) => publishedAt);
        times.forEach((time, index) => expect(time - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(100));
      }
    },
    timeoutMs,
  );

  it("leaves every client with the last top within a second", timed, async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards })));
    const viewers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => viewBoard(nodes[index % 3]!, "burst", `u${index}`)),
    );

    await Promise.all(nodes.map((node, index) => submitBurst(node, index, 1_000)));
    const lastWrite = Date.now();
    await finalTop(viewers, nodes[0]!);

    expect(Date.now() - lastWrite).toBeLessThan(promised(1_000));
  });

  it(
    "leaves no client with a wrong board where the nodes that tick are killed in the middle, one after the other",
    async () => {
      const prefix = freshPrefix();
      const watching = await startBoardNode({ prefix, boards, isTicking: false });
      const writing = await startBoardNode({ prefix, boards, isTicking: false });
      const viewers = await Promise.all(Array.from({ length: 20 }, () => viewBoard(watching, "burst")));
      const tickers = await Promise.all([startTicker(prefix), startTicker(prefix)]);

      const progress = { isOver: false };
      // Goes on as the ticks do, however busy the machine is.
      let ticks = viewers[0]!.revisions().length;
      const ticked = async (): Promise<void> => {
        await eventually(() => expect(viewers[0]!.revisions().length).toBeGreaterThan(ticks));
        ticks = viewers[0]!.revisions().length;
      };
      const rest = (from: number) => (from % 1_500 === 0 ? ticked() : pause(4));
      const burst = submitBurst(writing, 0, submissions, rest).finally(() => (progress.isOver = true));
      const random = seeded(3);
      for (let kills = 0; kills < 6 || !progress.isOver; kills += 1) {
        await pause(40 + random() * 120);
        tickers.shift()!.kill("SIGKILL");
        tickers.push(await startTicker(prefix));
      }
      await burst;

      await finalTop(viewers, watching);
      await judge(viewers, watching);
      expect(viewers[0]!.revisions().length).toBeGreaterThan(3);
    },
    timeoutMs,
  );

  it(
    "goes on half a second after a node died between claiming a tick and telling it, and the late one changes nothing",
    timed,
    async () => {
      const node = await startBoardNode({ boards });
      const board = createBoards(boards).of("burst");
      const seasons = new SeasonClock(systemClock);
      const ticks = createTickStore({
        commands: node.commands,
        keys: node.keys,
        isCluster: false,
        seasons,
        kinds: createKinds({}),
        keysOf: createBoardKeys(node.keys),
      });
      await node.leaderboards.submit("burst", { member: "a", score: 1 });
      const claim = await ticks.claim(board);
      if (claim.outcome !== "claimed") throw new Error(`the tick was ${claim.outcome}`);
      const died = Date.now();

      const viewer = await viewBoard(node, "burst");
      expect(viewer.board().entries).toEqual([]);
      await node.leaderboards.submit("burst", { member: "b", score: 2 });
      await eventually(() => expect(viewer.board().entries.map(({ member }) => member)).toEqual(["b", "a"]));
      const took = Date.now() - died;
      const late = await ticks.finish(board, claim, { diff: '{"late":true}' });

      expect(took).toBeLessThan(promised(1_000));
      expect(late).toBeUndefined();
      expect(viewer.publications).toHaveLength(1);
      expect((await ticks.published(board)).entries.map(({ member }) => member)).toEqual(["b", "a"]);
    },
  );
});

/** Members below everything a burst brings. */
async function fill({ leaderboards }: BoardNode, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1_000) {
    const batch = Array.from({ length: Math.min(1_000, count - from) }, (_, index) => ({
      member: `old${from + index}`,
      score: -1 - ((from + index) % 50),
    }));
    await leaderboards.submitMany("burst", batch, { withRanks: false });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Every member once, many of them tied, slowly rising; some alone, most in batches; a few calls at a time. */
async function submitBurst(
  { leaderboards }: BoardNode,
  backend: number,
  count: number,
  rest: (from: number) => Promise<void> = async () => undefined,
): Promise<void> {
  const random = seeded(backend + 1);
  for (let from = 0; from < count; from += 100) {
    const batch = Array.from({ length: Math.min(100, count - from) }, (_, index) => ({
      member: `b${backend}-${from + index}`,
      score: Math.floor((from + index) / 20 + random() * 30),
    }));
    const alone = batch.splice(0, 5);
    await Promise.all([
      ...alone.map((submission) => leaderboards.submit("burst", submission)),
      leaderboards.submitMany("burst", batch, { withRanks: random() < 0.5 }),
    ]);
    await rest(from);
  }
}

/** Resolves when every viewer has the top that the board has. */
async function finalTop(viewers: readonly BoardViewer[], node: BoardNode): Promise<void> {
  const { entries } = await node.leaderboards.top("burst", { limit: top });
  const stored = entries.map(({ rank, member, score }) => ({ rank, member, score }));
  await eventually(() => viewers.forEach((viewer) => expect(viewer.board().entries).toEqual(stored)));
}

async function judge(viewers: readonly BoardViewer[], node: BoardNode): Promise<void> {
  const tops = await topsOf(node, "burst", top);
  for (const viewer of viewers) judgeRevisions(viewer.revisions(), tops);
}

async function startTicker(prefix: string): Promise<ChildProcess> {
  const file = fileURLToPath(new URL("./ticking-node.ts", import.meta.url));
  const child = spawn(process.execPath, [file, inject("redisUrl"), prefix, JSON.stringify(boards)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}
