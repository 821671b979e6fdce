import { z } from "zod";
import { isSubjectOf, maxSubjectLength, nameRule } from "./names.ts";
import { failedResult, succeeded } from "./problems.ts";
import { idempotencyKey, jsonValue, memberName, timestamp, wholeNumber } from "./scalars.ts";

/** Schemas of leaderboards: the client's events, the backend's calls, and what both are answered. */

/** Most submissions one call may carry. */
export const maxScoreBatch = 1000;

/** Most entries one page carries. */
export const maxBoardPage = 1000;

/** Max members whose ranks one call returns. */
export const maxRankedMembers = 100;

/** Most entries on either side of a member. */
export const maxRadius = 100;

// What clients and backends send

/** A name that still is one as the subject of the board's channel. */
export const boardName = z
  .string()
  .refine((name) => isSubjectOf("leaderboard", name), nameRule(maxSubjectLength("leaderboard")))
  .meta({
    description: "The board's name.",
    minLength: 1,
    maxLength: maxSubjectLength("leaderboard"),
    examples: ["daily"],
  });

const score = z.number().meta({ description: "Any finite number, returned exactly as sent.", examples: [1200] });
const mode = z
  .enum(["best", "last", "increment"])
  .meta({ description: "How the score is combined with the existing one. Default: the board's mode." });
const data = jsonValue.meta({
  description: "Stored with the entry, at most 1024 bytes of JSON. Omit to keep the current data; `null` removes it.",
  examples: [{ name: "Ada" }],
});

const limit = z
  .int()
  .min(1)
  .max(maxBoardPage)
  .meta({ description: "Maximum number of entries. Default: the board's `top`." });
const start = z.int().min(0).meta({ description: "Entries to skip. Default: 0." });
const seasonId = z
  .string()
  .max(32)
  .meta({
    description: "A past season: `2026-03-09`, `2026-W11` or `2026-03`. Default: the current one.",
    examples: ["2026-W11"],
  });
const radius = z.int().min(0).max(maxRadius).meta({ description: "Number of entries on each side. Default: 5." });

/** Client event `leaderboard:top`. */
export const boardTopMessage = z.strictObject({
  board: boardName,
  limit: limit.optional(),
  start: start.optional(),
  season: seasonId.optional(),
});

/** Client event `leaderboard:around`; the asking user where no member is named. */
export const boardAroundMessage = z.strictObject({
  board: boardName,
  member: memberName.optional().meta({ description: "The member. Default: the user's own id." }),
  radius: radius.optional(),
  season: seasonId.optional(),
});

/** Members whose ranks one call returns. */
const rankedMembers = z
  .array(memberName)
  .min(1)
  .max(maxRankedMembers)
  .meta({ description: "Members that are not on the board are omitted from the response." });

/** Client event `leaderboard:ranks`. */
export const boardRanksMessage = z.strictObject({ board: boardName, members: rankedMembers });

/** Body of `POST /v1/leaderboards/{board}/ranks`. */
export const boardRanksBody = z.strictObject({ members: rankedMembers });

/** Query of `GET /v1/leaderboards`. */
export const boardsQuery = z.strictObject({
  limit: wholeNumber(z.int().min(1).max(100)).optional().meta({ description: "Default: 50." }),
  cursor: boardName.optional().meta({ description: "Cursor from the previous page." }),
});

/** Client event `leaderboard:submit`. */
export const scoreMessage = z.strictObject({ board: boardName, score });

/** Path of everything about one board. */
export const boardParams = z.strictObject({
  board: boardName.meta({ description: "The board's name, URL-encoded.", examples: ["daily"] }),
});

/** Path of everything about one member of a board. */
export const boardMemberParams = z.strictObject({
  ...boardParams.shape,
  member: memberName.meta({ description: "The member's name, URL-encoded.", examples: ["u-7"] }),
});

/** Body of `PUT /v1/leaderboards/{board}/scores/{member}`. */
export const scoreBody = z.strictObject({
  score,
  mode: mode.optional(),
  data: data.optional(),
  idempotencyKey: idempotencyKey.optional(),
});

/** One item of a batch. */
export const scoreItem = z
  .strictObject({ member: memberName, score, mode: mode.optional(), data: data.optional() })
  .meta({ id: "Score" });

/** Command `score.submit` of the commands stream. */
export const scoreCommand = z.strictObject({ board: boardName, ...scoreItem.shape });

/** Body of a batch. Items stay unparsed here, so that one bad item fails alone; each is parsed with `scoreItem`. */
export const scoreBatchBody = z.strictObject({
  scores: z
    .array(z.unknown().meta({ override: { $ref: "#/components/schemas/Score" } }))
    .max(maxScoreBatch)
    .meta({ description: "Applied in this order. An invalid item fails on its own." }),
  ranks: z
    .boolean()
    .default(true)
    .meta({ description: "Set to false to skip computing ranks in a large batch; they are null then." }),
  idempotencyKey: idempotencyKey.optional(),
});

/** Query of `GET /v1/leaderboards/{board}`. */
export const boardQuery = z.strictObject({
  limit: wholeNumber(limit).optional(),
  start: wholeNumber(start).optional(),
  season: seasonId.optional(),
});

/** Query of `GET /v1/leaderboards/{board}/members/{member}`. */
export const boardMemberQuery = z.strictObject({
  radius: wholeNumber(radius).optional(),
  season: seasonId.optional(),
});

// What they are answered

const board = z.string().meta({ description: "The board's name." });
const rank = z.int().min(1).meta({ description: "Starts at 1; unique." });
const total = z.int().min(0).meta({ description: "Members on the whole board." });
const revision = z.int().min(0).meta({ description: "Diffs published so far." });

const scoreResult = {
  member: memberName,
  score: z.number().meta({ description: "The member's current score." }),
  rank: rank.nullable().meta({ description: "After this call; null if ranks were not computed." }),
  previousRank: rank.nullable().meta({ description: "Before this call; null if the member was not on the board." }),
};

/** Answer of `PUT …/scores/{member}`. */
export const submittedScore = z.strictObject({ board, ...scoreResult, total }).meta({ id: "SubmittedScore" });

/** Answer of a batch: one result per item, in the order of the call. */
export const batchScoreResults = z.strictObject({
  results: z.array(
    z.discriminatedUnion("ok", [z.strictObject({ ok: succeeded, ...scoreResult }), failedResult]).meta({
      id: "ScoreResult",
      description: "Ranks before and after the batch of up to 100 submissions that this one was written with.",
    }),
  ),
});

export const rankedEntry = z
  .strictObject({
    rank,
    member: memberName,
    score: scoreResult.score,
    updatedAt: timestamp.meta({ description: "When the member reached this score." }),
    data: jsonValue.optional().meta({ description: "Stored with the score; absent if nothing is." }),
  })
  .meta({ id: "BoardEntry" });

/** Answer of `GET /v1/leaderboards/{board}`. */
export const boardPage = z.strictObject({
  board,
  season: z.string().nullable().meta({ description: "Null if the board has no seasons." }),
  revision,
  total,
  entries: z.array(rankedEntry).meta({ description: "By rank." }),
});

/** Answer of `GET …/members/{member}`. */
export const boardNeighbourhood = z.strictObject({
  board,
  total,
  entry: rankedEntry.meta({ description: "The member's entry." }),
  entries: z.array(rankedEntry).meta({ description: "The member and its neighbours, by rank." }),
});

/** Answer of `DELETE …/members/{member}`. */
export const memberRemoved = z.strictObject({
  removed: z.boolean().meta({ description: "False if the member was not on the board." }),
});

/** Answer of `GET /v1/leaderboards`, by name. */
export const boardList = z.strictObject({
  boards: z.array(
    z.strictObject({
      board,
      season: z.string().nullable().meta({ description: "The current season; null if the board has no seasons." }),
      revision,
      total: z.int().min(0).meta({ description: "Members in the current season." }),
    }),
  ),
  cursor: z.string().optional().meta({ description: "Cursor of the next page; absent on the last page." }),
});

/** Answer of `GET /v1/leaderboards/{board}/seasons`, the newest first. */
export const boardSeasons = z.strictObject({
  board,
  seasons: z.array(
    z.strictObject({
      season: z.string().meta({ description: "The season's name.", examples: ["2026-W11"] }),
      startsAt: timestamp.meta({ description: "The first moment that belongs to it." }),
      endsAt: timestamp.meta({ description: "The first moment that no longer does." }),
      current: z.boolean().meta({ description: "Whether it is running now." }),
    }),
  ),
});

/** Answer of `DELETE /v1/leaderboards/{board}`. */
export const boardRemoved = z.strictObject({
  removed: z.boolean().meta({ description: "False if the board had no scores." }),
});
