import { appendScripts, appendTarget } from "../channels/append.ts";
import type { Kinds } from "../channels/kinds.ts";
import type { Position } from "../protocol/scalars.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { appendArgs, appendKeys } from "./append-call.ts";
import type { BoardKeys } from "./board-keys.ts";
import { script } from "./board-store.ts";
import { rankChannel, type Board } from "./boards.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/**
 * Ranks of members, and their publication on rank channels.
 *
 * Several nodes may publish the rank of the same member, and read the board at different times. So the publishing script
 * compares with the last publication: an older reading changes nothing, an equal one publishes nothing, and a second one
 * within a tick is refused.
 */
export interface RankStore {
  /** For at most 1000 members, in their order. */
  read(board: Board, members: readonly string[]): Promise<RankReading>;
  publish(board: Board, member: string, reading: MemberReading, known?: Rank): Promise<RankOutcome>;
  /** Deletes what was published about the member, with its channel. */
  forget(board: Board, member: string): Promise<void>;
}

/** Both are null if the member is not on the board. */
export interface Rank {
  rank: number | null;
  score: number | null;
}

export interface RankReading {
  /** Increases with each change of the board. */
  timestamp: string;
  total: number;
  ranks: Rank[];
}

export interface MemberReading extends Rank {
  timestamp: string;
  total: number;
  /** Of the change. @default none */
  traceparent?: string;
}

/** The published rank at a position. "stale": a newer reading was published; "early": retry in a tick. */
export interface RankOutcome extends Rank {
  outcome: "published" | "same" | "stale" | "early";
  total: number;
  at: Position;
}

export interface RankStoreDeps {
  commands: RedisClient;
  isCluster: boolean;
  keys: Keys;
  kinds: Kinds;
  keysOf: (board: string, season: Season) => BoardKeys;
  seasons: SeasonClock;
}

const absent: Rank = { rank: null, score: null };

export function createRankStore(deps: RankStoreDeps): RankStore {
  const { commands, keys, kinds, keysOf, seasons } = deps;
  const ranksScript = loadScript(commands, script("ranks"), [script("board")]);
  const publishScript = loadScript(commands, script("publish-rank"), appendScripts);

  return {
    async read(board, members) {
      const { reply } = await seasons.runInSeason(board, (season) => {
        const { state, ranking, places } = keysOf(board.name, season);
        return ranksScript.run([state, ranking, places], [board.order, season.startsAt, season.endsAt, ...members]);
      });
      return toReading(reply);
    },

    async publish(board, member, { timestamp, rank, score, total, traceparent = "" }, known = absent) {
      const channel = rankChannel(board.name, member);
      const target = appendTarget(deps, channel, kinds.of(channel).history, traceparent);
      const reply = await publishScript.run(appendKeys(target, keys.rankState(channel)), [
        ...appendArgs(target),
        timestamp,
        String(rank),
        String(score),
        total,
        board.tickMs,
        String(known.rank),
        String(known.score),
        `"event":"leaderboard.rank","data":{"board":${JSON.stringify(board.name)},"member":${JSON.stringify(member)},"rank":`,
      ]);
      return toOutcome(reply);
    },

    async forget(board, member) {
      const channel = rankChannel(board.name, member);
      await commands.unlink(keys.rankState(channel), keys.channelMeta(channel), keys.channelLog(channel));
    },
  };
}

function toReading(reply: ScriptReply[]): RankReading {
  const [, timestamp, total, ...flat] = reply as [string, string, number, ...(string | number)[]];
  const ranks: Rank[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    ranks.push(flat[i] === 0 ? absent : { rank: Number(flat[i]), score: Number(flat[i + 1]) });
  }
  return { timestamp, total, ranks };
}

function toOutcome(reply: ScriptReply): RankOutcome {
  const [outcome, epoch, offset, rank, score, total] = reply as [RankOutcome["outcome"], ...string[]];
  const at = { epoch: epoch as string, offset: Number(offset) };
  return { outcome, at, rank: orNull(rank), score: orNull(score), total: Number(total) };
}

const orNull = (text: string | undefined): number | null => (text === "null" ? null : Number(text));
