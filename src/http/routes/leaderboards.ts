import type { BatchScoreResult, Leaderboards, ScoreSubmission } from "../../leaderboards/leaderboards.ts";
import type { CommandExecutor } from "../../commands/command-executor.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { canonicalJson } from "../../protocol/gate.ts";
import {
  batchScoreResults,
  boardMemberParams,
  boardMemberQuery,
  boardNeighbourhood,
  boardList,
  boardPage,
  boardParams,
  boardQuery,
  boardRanksBody,
  boardRemoved,
  boardSeasons,
  boardsQuery,
  memberRemoved,
  scoreBatchBody,
  scoreBody,
  scoreItem,
  submittedScore,
} from "../../protocol/leaderboards.ts";
import { parseWith } from "../../protocol/parse-with.ts";
import { refusalOf } from "../../commands/refusal.ts";
import { route, type Route } from "../route.ts";

export interface LeaderboardRouteDeps {
  executor: Pick<CommandExecutor, "perform" | "check">;
  leaderboards: Pick<
    Leaderboards,
    "submitMany" | "remove" | "removeBoard" | "top" | "around" | "ranks" | "list" | "seasons"
  >;
}

const tag = "Leaderboards";

export function createLeaderboardRoutes({ executor, leaderboards }: LeaderboardRouteDeps): Route[] {
  return [
    submitScore(executor),
    submitScores(executor, leaderboards),
    listBoards(leaderboards),
    readBoard(leaderboards),
    removeBoard(leaderboards),
    readMember(leaderboards),
    removeMember(leaderboards),
    readRanks(leaderboards),
    listSeasons(leaderboards),
  ];
}

function submitScore(executor: LeaderboardRouteDeps["executor"]): Route {
  const definition = {
    method: "put",
    performsCommands: true,
    path: "/v1/leaderboards/{board}/scores/{member}",
    operationId: "submitScore",
    tag,
    summary: "Submit one score.",
    refusals: ["not_found", "payload_too_large", "conflict"],
    params: boardMemberParams,
    body: scoreBody,
    answer: submittedScore,
  } as const;

  return route(definition, async ({ params, body, idempotencyKey, door }) => ({
    body: await executor.perform({ ...params, ...body, type: "score.submit", idempotencyKey }, { door }),
  }));
}

function submitScores(
  executor: LeaderboardRouteDeps["executor"],
  leaderboards: LeaderboardRouteDeps["leaderboards"],
): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/leaderboards/{board}/scores",
    operationId: "submitScores",
    tag,
    summary: "Submit up to 1000 scores, in order.",
    description: "Results are in the order of the scores. An item that is refused does not affect the others.",
    refusals: ["not_found", "conflict"],
    params: boardParams,
    body: scoreBatchBody,
    answer: batchScoreResults,
  } as const;

  return route(definition, async ({ params: { board }, body: { scores, ranks }, idempotencyKey }) => {
    const parsed = scores.map((item, index) => parseScore(executor, board, { item, at: `scores[${index}]` }));
    const good = parsed.filter((score): score is ScoreSubmission => !(score instanceof GatewayError));
    const applied = (await leaderboards.submitMany(board, good, { withRanks: ranks, idempotencyKey })).values();
    const results = parsed.map((score) => toResult(score instanceof GatewayError ? score : applied.next().value));
    return { body: { results } };
  });
}

function listBoards(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "get",
    path: "/v1/leaderboards",
    operationId: "listBoards",
    tag,
    summary: "List the boards that have scores, by name.",
    query: boardsQuery,
    answer: boardList,
  } as const;

  return route(definition, async ({ query }) => ({ body: await leaderboards.list(query) }));
}

function removeBoard(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "delete",
    path: "/v1/leaderboards/{board}",
    operationId: "removeBoard",
    tag,
    summary: "Delete all scores of a board, also of past seasons.",
    description: "Subscribers receive a diff that empties the board. The next score begins it again.",
    refusals: ["not_found"],
    params: boardParams,
    answer: boardRemoved,
  } as const;

  return route(definition, async ({ params: { board } }) => ({
    body: { removed: await leaderboards.removeBoard(board) },
  }));
}

function readRanks(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "post",
    ignoresKey: true,
    path: "/v1/leaderboards/{board}/ranks",
    operationId: "readRanks",
    tag,
    summary: "Read the entries of up to 100 members.",
    description: "Sorted by rank. Members that are not on the board are omitted.",
    refusals: ["not_found"],
    params: boardParams,
    body: boardRanksBody,
    answer: boardPage,
  } as const;

  return route(definition, async ({ params: { board }, body: { members } }) => ({
    body: await leaderboards.ranks(board, members),
  }));
}

function listSeasons(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "get",
    path: "/v1/leaderboards/{board}/seasons",
    operationId: "listSeasons",
    tag,
    summary: "List a board's seasons that have scores, and the current one, the newest first.",
    refusals: ["not_found"],
    params: boardParams,
    answer: boardSeasons,
  } as const;

  return route(definition, async ({ params: { board } }) => ({ body: await leaderboards.seasons(board) }));
}

function readBoard(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "get",
    path: "/v1/leaderboards/{board}",
    operationId: "readBoard",
    tag,
    summary: "Read a page of a board, for the current or a past season.",
    refusals: ["not_found"],
    params: boardParams,
    query: boardQuery,
    isRevalidated: true,
    answer: boardPage,
  } as const;

  return route(definition, async ({ params: { board }, query }) => ({ body: await leaderboards.top(board, query) }));
}

function readMember(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "get",
    path: "/v1/leaderboards/{board}/members/{member}",
    operationId: "readBoardMember",
    tag,
    summary: "Read a member's entry and its neighbours.",
    refusals: ["not_found"],
    params: boardMemberParams,
    query: boardMemberQuery,
    isRevalidated: true,
    answer: boardNeighbourhood,
  } as const;

  return route(definition, async ({ params: { board, member }, query: { radius, season } }) => {
    const body = await leaderboards.around(board, member, radius, season);
    if (body.entry === null) throw new GatewayError("not_found", "member: is not on this board", { field: "member" });
    return { body };
  });
}

function removeMember(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
  const definition = {
    method: "delete",
    path: "/v1/leaderboards/{board}/members/{member}",
    operationId: "removeBoardMember",
    tag,
    summary: "Remove a member from a board.",
    refusals: ["not_found"],
    params: boardMemberParams,
    answer: memberRemoved,
  } as const;

  return route(definition, async ({ params: { board, member } }) => ({
    body: { removed: await leaderboards.remove(board, member) },
  }));
}

function parseScore(
  executor: LeaderboardRouteDeps["executor"],
  board: string,
  { item, at }: { item: unknown; at: string },
): ScoreSubmission | GatewayError {
  try {
    const parsed = parseWith(scoreItem, item, at);
    const { data } = executor.check({ ...parsed, type: "score.submit", board }, at);
    const { data: _given, ...score } = parsed;
    return { ...score, data: textOf(data) };
  } catch (error) {
    return refusalOf(error);
  }
}

const textOf = (data: unknown): string | undefined => (data === undefined ? undefined : canonicalJson(data));

function toResult(result: BatchScoreResult | undefined): object {
  if (result instanceof GatewayError) return { ok: false, error: result.toBody() };
  return { ok: true, ...result };
}
