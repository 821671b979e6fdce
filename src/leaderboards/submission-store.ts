import { GatewayError } from "../protocol/errors.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { Spans } from "../runtime/spans.ts";
import { expiryOf, script, type BoardStoreDeps } from "./board-store.ts";
import type { Board, ScoreMode } from "./boards.ts";
import type { Season } from "./seasons.ts";

/**
 * Submits scores to a board in Redis.
 *
 * Order: submissions of one call are applied in order, a hundred atomically; calls are applied in the order of arrival.
 * On ties, the member that reached the score first ranks first, by the order in which Redis applied the submissions and
 * not by any clock. Submitting the same score again keeps the rank; losing and regaining it does not.
 *
 * Precision: a score is stored and returned as exactly the double that was sent; sums are sums of doubles.
 *
 * Atomicity: when a call resolves, its changes are on the board, and the same script has marked the board as changed. If
 * a call fails, its submissions may or may not have been applied. With an idempotency key the call may be repeated: the
 * script that applies it also stores its result, which a repeat gets. The same key with different content is a
 * `conflict`; a single submission that was refused leaves its key unused.
 *
 * Seasons: each season has its own keys. A call is applied in its season by Redis time, so none is lost or counted twice
 * when a season ends, and nothing writes into a past season. Idempotency keys outlive the season.
 */
export interface SubmissionStore {
  /** `results` in the order of the submissions. Throws `conflict`. */
  submit(board: Board, submissions: readonly Submission[], options: SubmitOptions): Promise<SubmissionResults>;
  /**
   * Submissions of different members, each with a key scoped to its member. Results are in order.
   * The keys are remembered for `ttlSeconds`.
   */
  submitEach(
    board: Board,
    submissions: readonly KeyedSubmission[],
    ttlSeconds?: number,
  ): Promise<(SingleSubmissionResult | GatewayError)[]>;
}

export interface Submission {
  member: string;
  score: number;
  mode: ScoreMode;
  /** JSON text; undefined keeps the current data, `null` removes it. */
  data?: string | undefined;
}

export interface KeyedSubmission extends Submission {
  idempotencyKey: string;
}

export interface SubmitOptions {
  /** A large batch costs a fifth less without ranks; both are null then. */
  withRanks: boolean;
  /** For the whole call. */
  idempotencyKey?: string | undefined;
}

export interface SubmissionResults {
  total: number;
  /** "overflow" if a double cannot hold the sum; nothing was changed then. */
  results: (ScoreResult | "overflow")[];
}

export interface SingleSubmissionResult {
  total: number;
  result: ScoreResult | "overflow";
}

/** A member's score, and its ranks after and before the hundred it was applied with. */
export interface ScoreResult {
  score: number;
  rank: number | null;
  previousRank: number | null;
}

export interface SubmissionStoreDeps extends BoardStoreDeps {
  keys: Pick<Keys, "boardOnce">;
  spans?: Pick<Spans, "sampledTraceparent"> | undefined;
  /** Adds a board with scores in this season to the index. */
  addToIndex: (board: Board, season: Season) => Promise<void>;
}

export interface SubmissionStoreOptions {
  /** Seconds an idempotency key is stored. */
  idempotencyTtlSeconds: number;
}

/** Milliseconds after which a node adds a board to the index again. */
const addEveryMs = 60_000;
/** Max boards whose time of adding is remembered. */
const maxAdded = 10_000;

/** The idempotency key of the part of a call that one script applies. */
interface OncePart {
  key: string;
  part: number;
  /** Fingerprint of the whole call. */
  content: string;
}

export function createSubmissionStore(
  { commands, keys, keysOf, seasons, spans, addToIndex: add }: SubmissionStoreDeps,
  { idempotencyTtlSeconds }: SubmissionStoreOptions,
): SubmissionStore {
  const includes = [script("board"), script("score"), script("apply")];
  const submitScript = loadScript(commands, script("submit"), includes);
  const eachScript = loadScript(commands, script("submit-each"), includes);

  const addedAt = new Map<string, number>();

  /** Never rejects: what fails is repeated with the next submission. */
  async function addToIndex(board: Board, season: Season): Promise<void> {
    if (addedAt.size >= maxAdded) addedAt.clear();
    addedAt.set(board.name, performance.now());
    await add(board, season).catch(() => addedAt.delete(board.name));
  }

  /** Without waiting, so that submissions keep their order; sent first, so that no crash hides a board for long. */
  function renewIndex(board: Board): void {
    if (performance.now() - (addedAt.get(board.name) ?? -Infinity) < addEveryMs) return;
    void addToIndex(board, seasons.current(board));
  }

  /** The first arguments of both scripts: the board's keys, and its options in the season. */
  function target(board: Board, season: Season, withRanks: boolean) {
    const { state, ranking, places, data, changedFeed: touched } = keysOf(board.name, season);
    const rules = [board.order, season.startsAt, season.endsAt, expiryOf(board, season), withRanks ? 1 : 0];
    const trace = spans?.sampledTraceparent() ?? "";
    return { boardKeys: [state, ranking, places, data, touched], rules: [...rules, trace] };
  }

  async function submitPart(
    board: Board,
    part: readonly Submission[],
    { withRanks, once }: { withRanks: boolean; once?: OncePart },
  ): Promise<SubmissionResults> {
    const args = part.flatMap(argsOf);
    const onceKeys = once === undefined ? [] : [keys.boardOnce(board.name, { scope: "batch", ...once })];
    const { season, reply } = await seasons.runInSeason(board, (current) => {
      const { boardKeys, rules } = target(board, current, withRanks);
      return submitScript.run(
        [...boardKeys, ...onceKeys],
        [...rules, once?.content ?? "", idempotencyTtlSeconds, ...args],
      );
    });
    if (reply[0] === "first") await addToIndex(board, season);
    const answer = reply[0] === "known" ? rememberedIn(String(reply[1]), once?.content) : reply;
    if (answer === undefined) throw otherContent();
    return toResults(answer, withRanks);
  }

  /** The first part detects whether the key was used with different content, before other parts are applied. */
  async function submitOnce(
    board: Board,
    submissions: readonly Submission[],
    { withRanks, key }: { withRanks: boolean; key: string },
  ): Promise<SubmissionResults[]> {
    const content = fingerprint([withRanks, submissions]);
    const submitNth = (part: readonly Submission[], index: number): Promise<SubmissionResults> =>
      submitPart(board, part, { withRanks, once: { key, part: index, content } });
    const [first = [], ...others] = inParts(submissions);
    const done = await submitNth(first, 0);
    return [done, ...(await Promise.all(others.map((part, index) => submitNth(part, index + 1))))];
  }

  async function submitEachOf(
    board: Board,
    part: readonly KeyedSubmission[],
    ttlSeconds: number,
  ): Promise<(SingleSubmissionResult | GatewayError)[]> {
    const contents = part.map(({ idempotencyKey: _key, ...content }) => fingerprint(content));
    const onceKeys = part.map(({ member, idempotencyKey: key }) =>
      keys.boardOnce(board.name, { scope: `member-${member}`, key, part: 0 }),
    );
    const args = part.flatMap((submission, index) => [contents[index] as string, ...argsOf(submission)]);
    const { season, reply } = await seasons.runInSeason(board, (current) => {
      const { boardKeys, rules } = target(board, current, true);
      return eachScript.run([...boardKeys, ...onceKeys], [...rules, ttlSeconds, ...args]);
    });
    if (reply[0] === "first") await addToIndex(board, season);
    return reply.slice(1).map((text, index) => toAlone(String(text), contents[index] as string));
  }

  return {
    async submit(board, submissions, { withRanks, idempotencyKey: key }) {
      renewIndex(board);
      const done = await (key === undefined
        ? Promise.all(inParts(submissions).map((part) => submitPart(board, part, { withRanks })))
        : submitOnce(board, submissions, { withRanks, key }));
      return { total: done.at(-1)?.total ?? 0, results: done.flatMap(({ results }) => results) };
    },

    async submitEach(board, submissions, ttlSeconds = idempotencyTtlSeconds) {
      renewIndex(board);
      return (await Promise.all(inParts(submissions).map((part) => submitEachOf(board, part, ttlSeconds)))).flat();
    },
  };
}

/**
 * Max submissions per script. Larger scripts block Redis for longer, and cost more per submission, because their data no
 * longer fits the CPU cache. The parts of a call are sent together and applied in order.
 */
const partSize = 100;

function inParts<S extends Submission>(submissions: readonly S[]): S[][] {
  const parts: S[][] = [];
  for (let at = 0; at < submissions.length; at += partSize) parts.push(submissions.slice(at, at + partSize));
  return parts;
}

const argsOf = ({ member, score, mode, data }: Submission): string[] => [member, String(score), mode, data ?? ""];

function toAlone(text: string, content: string): SingleSubmissionResult | GatewayError {
  const answer = rememberedIn(text, content);
  if (answer === undefined) return otherContent();
  const { total, results } = toResults(["ok", ...answer], true);
  return { total, result: results[0] as ScoreResult | "overflow" };
}

/** The result in a text that a script has stored; undefined if it is for different content. */
function rememberedIn(text: string, content: string | undefined): string[] | undefined {
  const [first, ...answer] = text.split("\n");
  return first === content ? answer : undefined;
}

const otherContent = (): GatewayError =>
  new GatewayError("conflict", "The idempotency key was already used with different content.", {
    field: "idempotencyKey",
  });

function toResults(reply: ScriptReply[], withRanks: boolean): SubmissionResults {
  const [, total, ...flat] = reply as (string | number)[];
  const width = withRanks ? 3 : 1;
  const results: SubmissionResults["results"] = [];
  for (let i = 0; i < flat.length; i += width) {
    const ranks = withRanks ? flat.slice(i + 1, i + 3).map(orNull) : [null, null];
    results.push(flat[i] === "" ? "overflow" : toScoreResult(Number(flat[i]), ranks));
  }
  return { total: Number(total), results };
}

const orNull = (rank: unknown): number | null => Number(rank) || null;

const toScoreResult = (score: number, [rank = null, previousRank = null]: (number | null)[]): ScoreResult => ({
  score,
  rank,
  previousRank,
});
