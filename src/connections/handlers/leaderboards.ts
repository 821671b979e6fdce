import type { Leaderboards } from "../../leaderboards/leaderboards.ts";
import { boardAroundMessage, boardTopMessage, scoreMessage } from "../../protocol/leaderboards.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface LeaderboardHandlerDeps {
  leaderboards: Pick<Leaderboards, "top" | "around" | "submitAs">;
}

/** Client events `leaderboard:top`, `leaderboard:around` and `leaderboard:submit`. */
export function createLeaderboardHandlers({ leaderboards }: LeaderboardHandlerDeps): ClientHandler[] {
  return [
    clientHandler("leaderboard:top", boardTopMessage, async (_connection, { board, limit, start }) => {
      const { season: _season, ...page } = await leaderboards.top(board, { limit, start });
      return page;
    }),

    clientHandler("leaderboard:around", boardAroundMessage, ({ identity }, { board, member, radius }) =>
      leaderboards.around(board, member ?? identity.userId, radius),
    ),

    clientHandler("leaderboard:submit", scoreMessage, async ({ identity }, { board, score }) => {
      const { total: _total, ...result } = await leaderboards.submitAs(identity.userId, board, score);
      return result;
    }),
  ];
}
