import { GatewayError } from "../protocol/errors.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import { endOfLife, script, type BoardStoreDeps } from "./board-store.ts";
import type { Board, ScoreMode } from "./boards.ts";
import type { Season } from "./seasons.ts";

/**
 * Scores on their way onto a board in Redis.
 *
 * Order: submissions of one call are taken in order, a hundred at one moment; calls are taken in the order in which they
 * came. Who reached a score first stands before all who reach the same score later, by the order in which Redis took them
 * and not by any clock; keeping one's score keeps the place, reaching it anew does not.
 *
 * Precision: a score is kept and read back as the very double that was sent; sums are sums of doubles.
 *
 * Atomicity: what a call changed is on the board when it answers, and the board is marked as changed by the same
 * script. Where a call failed, what it brought may or may not have been taken. With an idempotency key it may be made
 * again: what was taken is remembered by the script that took it, and answered as the first time. With other content the
 * key is a `conflict`; a single submission that was refused leaves its key unused.
 *
 * Seasons: each has its own keys. A call is taken in the season of its moment by Redis' clock, so none is lost or
 * counted twice at the turn, and nothing ever writes into a past season. Idempotency keys outlive the turn.
 */
export interface SubmissionStore {
  /** `standings` in the order of the submissions. Throws `conflict`. */
  submit(board: Board, submissions: readonly Submission[], options: SubmitOptions): Promise<Submitted>;
  /** Submissions of different members, each with a key that is good for its member. What became of each, in order. */
  submitEach(board: Board, submissions: readonly KeyedSubmission[]): Promise<(SubmittedAlone | GatewayError)[]>;
}

export interface Submission {
  member: string;
  score: number;
  mode: ScoreMode;
  /** JSON text; undefined keeps what there is, `null` forgets it. */
  data?: string | undefined;
}

export interface KeyedSubmission extends Submission {
  idempotencyKey: string;
}

export interface SubmitOptions {
  /** Without ranks a large batch costs a fifth less; then both are null. */
  withRanks: boolean;
  /** Of the call as a whole. */
  idempotencyKey?: string | undefined;
}

export interface Submitted {
  total: number;
  /** "overflow" if a double cannot hold the sum; then nothing was changed. */
  standings: (Standing | "overflow")[];
}

export interface SubmittedAlone {
  total: number;
  standing: Standing | "overflow";
}

/** Where a member stands after the hundred it was taken with, and stood before them. */
export interface Standing {
  score: number;
  rank: number | null;
  previousRank: number | null;
}

export interface SubmissionStoreDeps extends BoardStoreDeps {
  keys: Pick<Keys, "boardOnce">;
}

export interface SubmissionStoreOptions {
  /** Seconds an idempotency key is remembered. */
  idempotencyTtlSeconds: number;
}

/** The idempotency key of one script's part of a call. */
interface OncePart {
  key: string;
  part: number;
  /** Fingerprint of the whole call. */
  content: string;
}

export function createSubmissionStore(
  { commands, keys, keysOf, seasons }: SubmissionStoreDeps,
  { idempotencyTtlSeconds }: SubmissionStoreOptions,
): SubmissionStore {
  const includes = [script("board"), script("score"), script("take")];
  const submitScript = loadScript(commands, script("submit"), includes);
  const eachScript = loadScript(commands, script("submit-each"), includes);

  /** What both scripts are told first: the board's keys, and its rules in the season. */
  function target(board: Board, season: Season, withRanks: boolean) {
    const { state, ranking, places, data, touched } = keysOf(board.name, season);
    const rules = [board.order, season.startsAt, season.endsAt, endOfLife(board, season), withRanks ? 1 : 0];
    return { boardKeys: [state, ranking, places, data, touched], rules };
  }

  async function submitPart(
    board: Board,
    part: readonly Submission[],
    { withRanks, once }: { withRanks: boolean; once?: OncePart },
  ): Promise<Submitted> {
    const args = part.flatMap(argsOf);
    const onceKeys = once === undefined ? [] : [keys.boardOnce(board.name, { scope: "batch", ...once })];
    const { reply } = await seasons.within(board, (season) => {
      const { boardKeys, rules } = target(board, season, withRanks);
      return submitScript.run(
        [...boardKeys, ...onceKeys],
        [...rules, once?.content ?? "", idempotencyTtlSeconds, ...args],
      );
    });
    const answer = reply[0] === "known" ? rememberedIn(String(reply[1]), once?.content) : reply;
    if (answer === undefined) throw otherContent();
    return toSubmitted(answer, withRanks);
  }

  /** The first part of a call tells whether its key was used for other content, before another takes effect. */
  async function submitOnce(
    board: Board,
    submissions: readonly Submission[],
    { withRanks, key }: { withRanks: boolean; key: string },
  ): Promise<Submitted[]> {
    const content = fingerprint([withRanks, submissions]);
    const submitNth = (part: readonly Submission[], index: number): Promise<Submitted> =>
      submitPart(board, part, { withRanks, once: { key, part: index, content } });
    const [first = [], ...others] = inParts(submissions);
    const done = await submitNth(first, 0);
    return [done, ...(await Promise.all(others.map((part, index) => submitNth(part, index + 1))))];
  }

  async function submitEachOf(
    board: Board,
    part: readonly KeyedSubmission[],
  ): Promise<(SubmittedAlone | GatewayError)[]> {
    const contents = part.map(({ idempotencyKey: _key, ...content }) => fingerprint(content));
    const onceKeys = part.map(({ member, idempotencyKey: key }) =>
      keys.boardOnce(board.name, { scope: `member-${member}`, key, part: 0 }),
    );
    const args = part.flatMap((submission, index) => [contents[index] as string, ...argsOf(submission)]);
    const { reply } = await seasons.within(board, (season) => {
      const { boardKeys, rules } = target(board, season, true);
      return eachScript.run([...boardKeys, ...onceKeys], [...rules, idempotencyTtlSeconds, ...args]);
    });
    return reply.slice(1).map((text, index) => toAlone(String(text), contents[index] as string));
  }

  return {
    async submit(board, submissions, { withRanks, idempotencyKey: key }) {
      const done = await (key === undefined
        ? Promise.all(inParts(submissions).map((part) => submitPart(board, part, { withRanks })))
        : submitOnce(board, submissions, { withRanks, key }));
      return { total: done.at(-1)?.total ?? 0, standings: done.flatMap(({ standings }) => standings) };
    },

    async submitEach(board, submissions) {
      return (await Promise.all(inParts(submissions).map((part) => submitEachOf(board, part)))).flat();
    },
  };
}

/**
 * Submissions that one script takes. Many more at once hold Redis up for everybody, and cost more each: what the script
 * touches no longer fits the processor's cache. The parts of a call leave together and are taken in order.
 */
const partSize = 100;

function inParts<S extends Submission>(submissions: readonly S[]): S[][] {
  const parts: S[][] = [];
  for (let at = 0; at < submissions.length; at += partSize) parts.push(submissions.slice(at, at + partSize));
  return parts;
}

const argsOf = ({ member, score, mode, data }: Submission): string[] => [member, String(score), mode, data ?? ""];

function toAlone(text: string, content: string): SubmittedAlone | GatewayError {
  const answer = rememberedIn(text, content);
  if (answer === undefined) return otherContent();
  const { total, standings } = toSubmitted(["ok", ...answer], true);
  return { total, standing: standings[0] as Standing | "overflow" };
}

/** The answer in a text that a script remembered; undefined where that was of other content. */
function rememberedIn(text: string, content: string | undefined): string[] | undefined {
  const [first, ...answer] = text.split("\n");
  return first === content ? answer : undefined;
}

const otherContent = (): GatewayError =>
  new GatewayError("conflict", "The idempotency key was already used with different content.", {
    field: "idempotencyKey",
  });

function toSubmitted(reply: ScriptReply[], withRanks: boolean): Submitted {
  const [, total, ...flat] = reply as (string | number)[];
  const width = withRanks ? 3 : 1;
  const standings: Submitted["standings"] = [];
  for (let i = 0; i < flat.length; i += width) {
    const ranks = withRanks ? flat.slice(i + 1, i + 3).map(orNull) : [null, null];
    standings.push(flat[i] === "" ? "overflow" : toStanding(Number(flat[i]), ranks));
  }
  return { total: Number(total), standings };
}

const orNull = (rank: unknown): number | null => Number(rank) || null;

const toStanding = (score: number, [rank = null, previousRank = null]: (number | null)[]): Standing => ({
  score,
  rank,
  previousRank,
});
