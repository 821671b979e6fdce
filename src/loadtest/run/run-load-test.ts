import { setTimeout as after } from "node:timers/promises";
import type { ErrorCode } from "../../protocol/errors.ts";
import { BackendApi } from "../api.ts";
import { channelsOf } from "../client-plan.ts";
import type { SignedIn } from "../clients/login.ts";
import { fromParts, type PublishLogParts } from "../verification/publish-log.ts";
import { boardOf } from "../load/scores.ts";
import { epochNow, type Plan } from "../plan.ts";
import { createReport, type RunEvent, type Report } from "../report/report.ts";
import type { BoardTops } from "../worker/messages.ts";
import { WorkerPool } from "./worker-pool.ts";
import { createNodeEnder, planFaults, type DueFault, type EndMethods } from "./faults.ts";
import { feedRatio, feedCountsOf, type FeedRatio } from "./feed-ratio.ts";
import { NodeMonitor, type NodeMonitorOptions } from "./node-monitor.ts";
import type { Progress } from "./progress.ts";
import { signIn } from "./sign-in.ts";
import { Timeline } from "./timeline.ts";
import { cpus } from "node:os";

export interface LoadTestOptions {
  plan: Plan;
  /** Used in turn instead of creating sessions. */
  tokens: readonly string[];
  nodes: NodeMonitorOptions;
  ending: EndMethods;
  progress: Progress;
  /** Ends the run early; the results until then are evaluated and reported. */
  signal: AbortSignal;
}

/** Time without new subscribers after which the run continues without the rest. */
const rampStallMs = 10_000;
const pollEveryMs = 100;

/** Permanent refusals. */
const finalCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "unknown_channel",
  "forbidden",
  "unauthorized",
  "token_revoked",
  "session_expired",
  "bad_request",
]);

/** From the publish command until the schedule starts. */
const startDelayMs = 200;

/** Max wait for missing publications after an interruption. */
const shortSettleMs = 1_000;

/** Performs one run. Rejects if the target refuses something that the run needs, or if the generator itself fails. */
export async function runLoadTest(options: LoadTestOptions): Promise<Report> {
  const run = new LoadTestRun(options);
  try {
    return await run.go();
  } finally {
    await run.stop();
  }
}

class LoadTestRun {
  readonly #options: LoadTestOptions;
  readonly #plan: Plan;
  readonly #timeline = new Timeline();
  readonly #watch: NodeMonitor;
  readonly #events: RunEvent[] = [];
  readonly #startedAt = epochNow();
  readonly #machine = createCpuMeter();
  #pool: WorkerPool | undefined;
  #ticker: NodeJS.Timeout | undefined;

  constructor(options: LoadTestOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.#watch = new NodeMonitor(options.nodes);
  }

  async go(): Promise<Report> {
    const { tokens, progress } = this.#options;
    await this.#watch.start();
    const logins = tokens.length > 0 ? this.#loginsFrom(tokens) : await this.#signIn();
    const pool = (this.#pool = new WorkerPool(this.#plan, this.#timeline));
    this.#ticker = setInterval(() => this.#tick(), 1_000);
    return await Promise.race([this.#perform(pool, logins).finally(() => progress.end()), pool.failed]);
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    this.#options.progress.end();
    this.#watch.stop();
    await this.#pool?.stop();
  }

  async #perform(pool: WorkerPool, logins: readonly SignedIn[]): Promise<Report> {
    await this.#ramp(pool, logins);
    const interest = await pool.interest();
    await this.#watch.sample();
    const before = feedCountsOf(this.#watch.nodes);
    await this.#load(pool);
    const publishLog = await this.#settle(pool);
    const verdict = await pool.verify(publishLog, await this.#tops(), this.#settleMs);
    await this.#watch.sample();
    const feed = this.#isQuiet
      ? feedRatio(interest, fromParts(publishLog), before, feedCountsOf(this.#watch.nodes))
      : undefined;
    return this.#report(pool, verdict, feed);
  }

  #loginsFrom(tokens: readonly string[]): SignedIn[] {
    const { count } = this.#plan.scenario.readers;
    return Array.from({ length: count }, (_, index) => ({ token: tokens[index % tokens.length] as string }));
  }

  async #signIn(): Promise<SignedIn[]> {
    const { progress, signal } = this.#options;
    if (this.#plan.target === "plain") return [];
    progress.begin("sign in", this.#plan.scenario.readers.count);
    return signIn({ plan: this.#plan, signal, onProgress: (done) => progress.at(done) });
  }

  async #ramp(pool: WorkerPool, logins: readonly SignedIn[]): Promise<void> {
    const { progress, signal } = this.#options;
    const { count } = this.#plan.scenario.readers;
    progress.begin("connect", count);
    pool.connect(logins);
    let [reading, lastAt] = [0, epochNow()];
    while (reading < count && epochNow() < lastAt + rampStallMs && !this.#isHopeless && !signal.aborted) {
      await after(pollEveryMs);
      if (this.#reading !== reading) [reading, lastAt] = [this.#reading, epochNow()];
      progress.at(reading);
    }
    if (reading < count) this.#record(`${reading} of ${count} readers had subscribed`);
  }

  /** Whether every reader was refused permanently. */
  get #isHopeless(): boolean {
    const final = Object.entries(this.#timeline.codes("refused")).filter(([code]) => finalCodes.has(code));
    const refusals = final.reduce((sum, [, times]) => sum + times, 0);
    return this.#reading === 0 && refusals >= this.#plan.scenario.readers.count;
  }

  async #load(pool: WorkerPool): Promise<void> {
    const { progress } = this.#options;
    const { durationSeconds, faults } = this.#plan.scenario;
    this.#timeline.phase = "load";
    progress.begin("load", durationSeconds);
    const startsAt = epochNow() + startDelayMs;
    this.#record("load begins");
    pool.publish(startsAt);
    const bringAbout = createFaults(pool, createNodeEnder(this.#options.ending));
    for (const due of planFaults(faults, durationSeconds)) {
      if (!(await this.#until(startsAt + due.atSeconds * 1_000))) break;
      // The next fault does not wait for a slow command.
      void bringAbout(due).then((what) => this.#record(what));
    }
    await this.#until(startsAt + durationSeconds * 1_000);
  }

  async #settle(pool: WorkerPool): Promise<PublishLogParts> {
    this.#timeline.phase = "settle";
    this.#record(this.#options.signal.aborted ? "interrupted" : "load ends");
    this.#options.progress.begin("settle", 1);
    return pool.stopPublishing();
  }

  get #settleMs(): number {
    return this.#options.signal.aborted ? shortSettleMs : this.#plan.scenario.settleSeconds * 1_000;
  }

  /** Whether no reader changed its node, so that the number of messages each node needed is known. */
  get #isQuiet(): boolean {
    return this.#plan.scenario.faults.length === 0 && Object.keys(this.#timeline.codes("lost")).length === 0;
  }

  /** The gateway's boards, to compare with the readers' copies. */
  async #tops(): Promise<BoardTops> {
    if (this.#plan.scenario.load.type !== "scores") return {};
    const api = new BackendApi(this.#plan.addresses, this.#plan.apiKey);
    const tops: BoardTops = {};
    // The last tick of a board may still be under way; the gateway's response already includes it.
    for (const board of channelsOf(this.#plan).map(boardOf)) {
      const answer = await api.get(`/v1/leaderboards/${encodeURIComponent(board)}`);
      if (answer.ok) tops[board] = (answer.body as { entries: BoardTops[string] }).entries;
    }
    return tops;
  }

  get #reading(): number {
    return this.#timeline.gauge("reading");
  }

  /** Resolves to true at `moment`, or to false if the run is interrupted before. */
  async #until(moment: number): Promise<boolean> {
    const { signal } = this.#options;
    const waited = after(Math.max(moment - epochNow(), 0), true, { signal });
    return waited.catch(() => false);
  }

  #record(what: string): void {
    this.#events.push({ at: epochNow(), what });
    this.#options.progress.say(what);
  }

  #tick(): void {
    const at = Math.floor(epochNow() / 1_000) - 1;
    this.#timeline.add("lab", at, { counts: {}, gauges: { machine: this.#machine() }, histograms: {} });
    const row = this.#timeline.last;
    if (row !== undefined) this.#options.progress.tick(row);
  }

  #report(pool: WorkerPool, verdict: Report["verdict"], feed: FeedRatio | undefined): Report {
    return createReport({
      plan: this.#plan,
      startedAt: this.#startedAt,
      wasInterrupted: this.#options.signal.aborted,
      timeline: this.#timeline,
      nodes: this.#watch.nodes,
      events: this.#events,
      processes: pool.size,
      verdict,
      feed,
    });
  }
}

/** The returned function injects a fault and resolves to a description. */
function createFaults(pool: WorkerPool, endNode: ReturnType<typeof createNodeEnder>) {
  return async ({ fault, round }: DueFault): Promise<string> => {
    switch (fault.do) {
      case "cut":
        pool.injectFault({ type: "cut", share: fault.share, spreadMs: fault.spreadSeconds * 1_000, round });
        return `${percent(fault.share)} of connections are dropped within ${fault.spreadSeconds} s`;
      case "stall":
        pool.injectFault({ type: "stall", share: fault.share, forMs: fault.forSeconds * 1_000, round });
        return `${percent(fault.share)} of readers read nothing for ${fault.forSeconds} s`;
      case "kill":
      case "drain":
        return `${fault.do}: ${await endNode(fault.do)}`;
    }
  };
}

const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`;

/** Each call returns the share of this machine's CPU in use since the previous call. */
function createCpuMeter(): () => number {
  let before = timesOf();
  return () => {
    const now = timesOf();
    const [busy, all] = [now.busy - before.busy, now.all - before.all];
    before = now;
    return all === 0 ? 0 : busy / all;
  };
}

function timesOf(): { busy: number; all: number } {
  const times = cpus().map(({ times: { idle, ...rest } }) => ({
    idle,
    busy: Object.values(rest).reduce((sum, time) => sum + time, 0),
  }));
  const busy = times.reduce((sum, time) => sum + time.busy, 0);
  return { busy, all: busy + times.reduce((sum, { idle }) => sum + idle, 0) };
}
