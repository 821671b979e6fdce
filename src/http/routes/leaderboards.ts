import type { BatchScoreResult, Leaderboards, ScoreSubmission } from "../../leaderboards/leaderboards.ts";
import type { CommandExecutor } from "../../commands/command-executor.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { canonicalJson } from "../../protocol/gate.ts";
import {
  batchScoreResults,
  boardMemberParams,
  boardMemberQuery,
  boardNeighbourhood,
  boardPage,
  boardParams,
  boardQuery,
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
  executor: Pick<CommandExecutor, "perform">;
  leaderboards: Pick<Leaderboards, "submitMany" | "remove" | "top" | "around">;
}

const tag = "Leaderboards";

export function createLeaderboardRoutes({ executor, leaderboards }: LeaderboardRouteDeps): Route[] {
  return [
    submitScore(executor),
    submitScores(leaderboards),
    readBoard(leaderboards),
    readMember(leaderboards),
    removeMember(leaderboards),
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

  return route(definition, async ({ params, body, idempotencyKey }) => ({
    body: await executor.perform({ ...params, ...body, type: "score.submit", idempotencyKey }, { door: "http" }),
  }));
}

function submitScores(leaderboards: LeaderboardRouteDeps["leaderboards"]): Route {
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
    const parsed = scores.map(parseScore);
    const good = parsed.filter((score): score is ScoreSubmission => !(score instanceof GatewayError));
    const applied = (await leaderboards.submitMany(board, good, { withRanks: ranks, idempotencyKey })).values();
    const results = parsed.map((score) => toResult(score instanceof GatewayError ? score : applied.next().value));
    return { body: { results } };
  });
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

  return route(definition, async ({ params: { board, member }, query: { radius } }) => {
    const body = await leaderboards.around(board, member, radius);
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

function parseScore(item: unknown, index: number): ScoreSubmission | GatewayError {
  try {
    const { data, ...score } = parseWith(scoreItem, item, `scores[${index}]`);
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
