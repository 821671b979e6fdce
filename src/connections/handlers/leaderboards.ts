import type { Leaderboards } from "../../leaderboards/leaderboards.ts";
import { boardAroundMessage, boardRanksMessage, boardTopMessage, scoreMessage } from "../../protocol/leaderboards.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface LeaderboardHandlerDeps {
  leaderboards: Pick<Leaderboards, "top" | "around" | "ranks" | "submitAs">;
}

/** Client events `leaderboard:top`, `leaderboard:around`, `leaderboard:ranks` and `leaderboard:submit`. */
export function createLeaderboardHandlers({ leaderboards }: LeaderboardHandlerDeps): ClientHandler[] {
  return [
    clientHandler("leaderboard:top", boardTopMessage, async (_connection, { board, ...range }) => {
      const { season: _season, ...page } = await leaderboards.top(board, range);
      return page;
    }),

    clientHandler("leaderboard:around", boardAroundMessage, ({ identity }, { board, member, radius, season }) =>
      leaderboards.around(board, member ?? identity.userId, radius, season),
    ),

    clientHandler("leaderboard:ranks", boardRanksMessage, async (_connection, { board, members }) => {
      const { season: _season, ...page } = await leaderboards.ranks(board, members);
      return page;
    }),

    clientHandler("leaderboard:submit", scoreMessage, async ({ identity }, { board, score }) => {
      const { total: _total, ...result } = await leaderboards.submitAs(identity.userId, board, score);
      return result;
    }),
  ];
}
