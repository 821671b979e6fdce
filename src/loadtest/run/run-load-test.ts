import { setTimeout as after } from "node:timers/promises";
import type { ErrorCode } from "../../protocol/errors.ts";
import { BackendApi } from "../api.ts";
import { channelsOf } from "../cast.ts";
import type { SignedIn } from "../clients/login.ts";
import { fromParts, type LedgerParts } from "../judge/ledger.ts";
import { boardOf } from "../load/scores.ts";
import { labNow, type Plan } from "../plan.ts";
import { createReport, type Happening, type Report } from "../report/report.ts";
import type { Tops } from "../worker/messages.ts";
import { Crew } from "./crew.ts";
import { createNodeEnder, planFaults, type DueFault, type NodeEnding } from "./faults.ts";
import { feedRatio, markFeeds, type FeedRatio } from "./feed-ratio.ts";
import { watchMachine } from "./machine-watch.ts";
import { NodeWatch, type NodeWatchOptions } from "./node-watch.ts";
import type { Progress } from "./progress.ts";
import { signIn } from "./sign-in.ts";
import { Timeline } from "./timeline.ts";

export interface LoadTestOptions {
  plan: Plan;
  /** Used in turn instead of signing in. */
  tokens: readonly string[];
  nodes: NodeWatchOptions;
  ending: NodeEnding;
  progress: Progress;
  /** Ends the run before its time; what was seen so far is judged and reported. */
  signal: AbortSignal;
}

/** How long nobody may come until the others are not waited for. */
const rampPatienceMs = 10_000;
const lookEveryMs = 100;

/** Refusals that time does not mend. */
const finalCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "unknown_channel",
  "forbidden",
  "unauthorized",
  "token_revoked",
  "session_expired",
  "bad_request",
]);

/** From the word to publish until the first publication is due. */
const startDelayMs = 200;

/** How long readers of an interrupted run are waited for. */
const shortSettleMs = 1_000;

/** One run from beginning to end. Rejects where the house refuses what it needs, or the generator itself fails. */
export async function runLoadTest(options: LoadTestOptions): Promise<Report> {
  const run = new Run(options);
  try {
    return await run.go();
  } finally {
    await run.stop();
  }
}

class Run {
  readonly #options: LoadTestOptions;
  readonly #plan: Plan;
  readonly #timeline = new Timeline();
  readonly #watch: NodeWatch;
  readonly #happenings: Happening[] = [];
  readonly #startedAt = labNow();
  readonly #machine = watchMachine();
  #crew: Crew | undefined;
  #ticker: NodeJS.Timeout | undefined;

  constructor(options: LoadTestOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.#watch = new NodeWatch(options.nodes);
  }

  async go(): Promise<Report> {
    const { tokens, progress } = this.#options;
    await this.#watch.start();
    const logins = tokens.length > 0 ? this.#bring(tokens) : await this.#signIn();
    const crew = (this.#crew = new Crew(this.#plan, this.#timeline));
    this.#ticker = setInterval(() => this.#tick(), 1_000);
    return await Promise.race([this.#perform(crew, logins).finally(() => progress.end()), crew.failed]);
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    this.#options.progress.end();
    this.#watch.stop();
    await this.#crew?.stop();
  }

  async #perform(crew: Crew, logins: readonly SignedIn[]): Promise<Report> {
    await this.#ramp(crew, logins);
    const interest = await crew.interest();
    await this.#watch.look();
    const before = markFeeds(this.#watch.nodes);
    await this.#load(crew);
    const ledger = await this.#settle(crew);
    const verdict = await crew.judge(ledger, await this.#tops(), this.#settleMs);
    await this.#watch.look();
    const feed = this.#isQuiet
      ? feedRatio(interest, fromParts(ledger), before, markFeeds(this.#watch.nodes))
      : undefined;
    return this.#report(crew, verdict, feed);
  }

  #bring(tokens: readonly string[]): SignedIn[] {
    const { count } = this.#plan.scenario.readers;
    return Array.from({ length: count }, (_, index) => ({ token: tokens[index % tokens.length] as string }));
  }

  async #signIn(): Promise<SignedIn[]> {
    const { progress, signal } = this.#options;
    if (this.#plan.target === "plain") return [];
    progress.begin("sign in", this.#plan.scenario.readers.count);
    return signIn({ plan: this.#plan, signal, onProgress: (done) => progress.at(done) });
  }

  async #ramp(crew: Crew, logins: readonly SignedIn[]): Promise<void> {
    const { progress, signal } = this.#options;
    const { count } = this.#plan.scenario.readers;
    progress.begin("connect", count);
    crew.hold(logins);
    let [reading, lastAt] = [0, labNow()];
    while (reading < count && labNow() < lastAt + rampPatienceMs && !this.#isHopeless && !signal.aborted) {
      await after(lookEveryMs);
      if (this.#reading !== reading) [reading, lastAt] = [this.#reading, labNow()];
      progress.at(reading);
    }
    if (reading < count) this.#happened(`${reading} of ${count} readers had subscribed`);
  }

  /** Everybody was refused for a reason that does not pass. */
  get #isHopeless(): boolean {
    const final = Object.entries(this.#timeline.codes("refused")).filter(([code]) => finalCodes.has(code));
    const refusals = final.reduce((sum, [, times]) => sum + times, 0);
    return this.#reading === 0 && refusals >= this.#plan.scenario.readers.count;
  }

  async #load(crew: Crew): Promise<void> {
    const { progress } = this.#options;
    const { durationSeconds, faults } = this.#plan.scenario;
    this.#timeline.phase = "load";
    progress.begin("load", durationSeconds);
    const startsAt = labNow() + startDelayMs;
    this.#happened("load begins");
    crew.publish(startsAt);
    const bringAbout = createFaults(crew, createNodeEnder(this.#options.ending));
    for (const due of planFaults(faults, durationSeconds)) {
      if (!(await this.#until(startsAt + due.atSeconds * 1_000))) break;
      // A command may take its time; the next fault does not wait for it.
      void bringAbout(due).then((what) => this.#happened(what));
    }
    await this.#until(startsAt + durationSeconds * 1_000);
  }

  async #settle(crew: Crew): Promise<LedgerParts> {
    this.#timeline.phase = "settle";
    this.#happened(this.#options.signal.aborted ? "interrupted" : "load ends");
    this.#options.progress.begin("settle", 1);
    return crew.stopPublishing();
  }

  get #settleMs(): number {
    return this.#options.signal.aborted ? shortSettleMs : this.#plan.scenario.settleSeconds * 1_000;
  }

  /** No reader has moved, so that what each node had to read is known. */
  get #isQuiet(): boolean {
    return this.#plan.scenario.faults.length === 0 && Object.keys(this.#timeline.codes("lost")).length === 0;
  }

  /** Boards as the gateway has them, to compare with what readers hold. */
  async #tops(): Promise<Tops> {
    if (this.#plan.scenario.load.type !== "scores") return {};
    const api = new BackendApi(this.#plan.addresses, this.#plan.apiKey);
    const tops: Tops = {};
    // One last tick of the board may be on its way, and what it shows is what the gateway answers already.
    for (const board of channelsOf(this.#plan).map(boardOf)) {
      const answer = await api.get(`/v1/leaderboards/${encodeURIComponent(board)}`);
      if (answer.ok) tops[board] = (answer.body as { entries: Tops[string] }).entries;
    }
    return tops;
  }

  get #reading(): number {
    return this.#timeline.gauge("reading");
  }

  /** Resolves at a moment of lab time; false where the run was interrupted before. */
  async #until(moment: number): Promise<boolean> {
    const { signal } = this.#options;
    const waited = after(Math.max(moment - labNow(), 0), true, { signal });
    return waited.catch(() => false);
  }

  #happened(what: string): void {
    this.#happenings.push({ at: labNow(), what });
    this.#options.progress.say(what);
  }

  #tick(): void {
    const at = Math.floor(labNow() / 1_000) - 1;
    this.#timeline.add("lab", at, { counts: {}, gauges: { machine: this.#machine() }, histograms: {} });
    const row = this.#timeline.last;
    if (row !== undefined) this.#options.progress.tick(row);
  }

  #report(crew: Crew, verdict: Report["verdict"], feed: FeedRatio | undefined): Report {
    return createReport({
      plan: this.#plan,
      startedAt: this.#startedAt,
      wasInterrupted: this.#options.signal.aborted,
      timeline: this.#timeline,
      nodes: this.#watch.nodes,
      happenings: this.#happenings,
      processes: crew.size,
      verdict,
      feed,
    });
  }
}

/** Brings a fault about; resolves with what was done, in words. */
function createFaults(crew: Crew, endNode: ReturnType<typeof createNodeEnder>) {
  return async ({ fault, round }: DueFault): Promise<string> => {
    switch (fault.do) {
      case "cut":
        crew.disturb({ type: "cut", share: fault.share, spreadMs: fault.spreadSeconds * 1_000, round });
        return `${percent(fault.share)} of connections are dropped within ${fault.spreadSeconds} s`;
      case "stall":
        crew.disturb({ type: "stall", share: fault.share, forMs: fault.forSeconds * 1_000, round });
        return `${percent(fault.share)} of readers read nothing for ${fault.forSeconds} s`;
      case "kill":
      case "drain":
        return `${fault.do}: ${await endNode(fault.do)}`;
    }
  };
}

const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`;
