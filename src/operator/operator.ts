import type { Control } from "../cluster/control.ts";
import { closing } from "../protocol/closings.ts";
import type { ConnectionSummary, MissingNode } from "../protocol/operator/operator.ts";
import type { WhyQuestion } from "../protocol/operator/operator-reasons.ts";
import type { Connections } from "../connections/connections.ts";
import type { BackendAct } from "../http/backend-api.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { RecordedReason } from "../runtime/reason-log.ts";
import type { CountedSubject, LimiterCounts } from "../throttling/limiter-counts.ts";
import type { AuditLog } from "./audit-log.ts";
import { goneForMs, type DeadNodeLog } from "./dead-node-log.ts";
import { mergePages, placeFrom, type ConnectionFilter, type ConnectionSort } from "./connection-pages.ts";
import type { ConnectionsQuestion, NodeAnswerTypes } from "./node-answers.ts";
import { mergeSamples, sumsOf } from "./node-report.ts";
import { nodeIdOf, type NodeAnswers, type NodeQueries } from "../cluster/node-queries.ts";
import { explain, type WhyDeps } from "./why.ts";

export interface OperatorDeps {
  queries: Pick<NodeQueries, "ask">;
  control: Pick<Control, "on" | "onDeadNode" | "command" | "living">;
  connections: Connections;
  audit: AuditLog;
  why: WhyDeps;
  nodeId: string;
  requestDrain: () => void;
  deadNodes: DeadNodeLog;
  counts: Pick<LimiterCounts, "clear" | "forget" | "bucketsOf">;
  clock: Clock;
  log: Logger;
}

/** A node may be seen for so long after another has noticed its death. */
const noticedWithinMs = 2_000;
const maxGone = 256;

/** What operators may ask of the whole cluster, and do to it. */
export class OperatorService {
  readonly #deps: OperatorDeps;
  /** Nodes that lived lately, by when they were last known to. */
  readonly #seen = new Map<string, number>();

  constructor(deps: OperatorDeps) {
    const { control, connections, nodeId, requestDrain, counts, deadNodes, clock } = deps;
    this.#deps = deps;
    control.onDeadNode((incarnation) => deadNodes.add(nodeIdOf(incarnation), clock.now()));
    control.on("operator.drain", (command) => (command["nodeId"] === nodeId ? (requestDrain(), 1) : 0));
    control.on("operator.clearLimits", ({ subject }) => {
      counts.forget(subject as CountedSubject);
      return 1;
    });
    control.on("operator.close", (command) => {
      const connection = connections.get(String(command["connectionId"]));
      connection?.close(closing("disconnected_by_backend", { reconnect: command["reconnect"] === true }));
      return connection === undefined ? 0 : 1;
    });
  }

  async overview() {
    const now = this.#deps.clock.now();
    const [{ answers, silent }, dead] = await Promise.all([this.#ask("overview"), this.#deps.deadNodes.list(now)]);
    const nodes = answers.map(({ value, answerMs }) => ({ ...value.report, answerMs }));
    return {
      at: now,
      nodes,
      missing: this.#missing({ answered: new Set(nodes.map(({ nodeId }) => nodeId)), silent, dead }, now),
      totals: sumsOf(nodes),
      history: mergeSamples(answers.map(({ value }) => value.samples)),
    };
  }

  /** Pages of all nodes merged in order; undefined if the cursor is none of ours. */
  async connections(filter: ConnectionFilter, limit: number, cursor?: string, sort: ConnectionSort = "age") {
    const after = cursor === undefined ? undefined : placeFrom(cursor);
    if (cursor !== undefined && after === undefined) return undefined;
    const question: ConnectionsQuestion = { type: "connections", filter, after, limit: limit + 1, sort };
    const { answers, silent } = await this.#deps.queries.ask<ConnectionSummary[]>(question);
    const page = mergePages(
      answers.map(({ value }) => value),
      limit,
      sort,
    );
    return { ...page, silent };
  }

  async channel(channel: string) {
    const { answers, silent } = await this.#ask("channel", { channel });
    const subscribers = answers.flatMap(({ nodeId, value: { subscribers: count, offset, queuedBytes } }) =>
      count === 0 ? [] : [{ nodeId, subscribers: count, queuedBytes, ...(offset === undefined ? {} : { offset }) }],
    );
    return { subscribers, silent };
  }

  /** The last refusals and closings of all nodes, newest first. */
  async reasons(isWanted: (reason: RecordedReason) => boolean, limit: number) {
    const { answers, silent } = await this.#ask("reasons");
    const all = answers.flatMap(({ nodeId, value }) =>
      value.filter(isWanted).map((reason) => Object.assign({ nodeId }, reason)),
    );
    return { refusals: all.toSorted((a, b) => b.at - a.at).slice(0, limit), silent };
  }

  async why(question: WhyQuestion) {
    const answer = await explain(this.#deps.why, question);
    const userId = answer.userId ?? question.userId;
    if (userId === undefined) return { ...answer, refusals: [] };
    return { ...answer, refusals: (await this.reasons((reason) => reason.userId === userId, 20)).refusals };
  }

  /** Every setting of this node, and those in which others differ. */
  async settings() {
    const { answers, silent } = await this.#ask("settings");
    const own = answers.find(({ nodeId }) => nodeId === this.#deps.nodeId)?.value ?? {};
    const names = new Set(answers.flatMap(({ value }) => Object.keys(value)));
    const differences = [...names].toSorted().flatMap((name) => {
      const values = Object.fromEntries(answers.map(({ nodeId, value }) => [nodeId, value[name] ?? null]));
      return new Set(Object.values(values).map((value) => JSON.stringify(value))).size > 1 ? [{ name, values }] : [];
    });
    const settings = Object.entries(own).map(([name, value]) => ({ name, value }));
    return { nodeId: this.#deps.nodeId, settings, differences, silent };
  }

  async drain(nodeId: string) {
    const { count, nodes, acknowledged } = await this.#deps.control.command({ type: "operator.drain", nodeId });
    return { draining: count, nodes, acknowledged };
  }

  async disconnect(connectionId: string, reconnect: boolean) {
    const command = { type: "operator.close", connectionId, reconnect };
    const { count, nodes, acknowledged } = await this.#deps.control.command(command);
    return { disconnected: count, nodes, acknowledged };
  }

  /** What limiters have counted of a user or an address is forgotten on all nodes. */
  async clearLimits(subject: CountedSubject) {
    const cleared = await this.#deps.counts.clear(subject);
    const { nodes, acknowledged } = await this.#deps.control.command({ type: "operator.clearLimits", subject });
    return { cleared, nodes, acknowledged };
  }

  /** What a user's limits have left, and how many requests they refused in the last minute. */
  async limitsOf(userId: string) {
    const [buckets, { answers }] = await Promise.all([
      this.#deps.counts.bucketsOf(userId),
      this.#ask("refused", { userId }),
    ]);
    return { buckets, refused: answers.reduce((sum, { value }) => sum + value, 0) };
  }

  /** Adds an act to the audit log. Never rejects: the act has happened. */
  note({ operation, caller, via, target, outcome, address, requestId }: BackendAct): void {
    const entry = { by: caller, via, act: operation, target, outcome, address, requestId };
    this.#deps.audit
      .add(entry)
      .catch((error: unknown) => this.#deps.log.error({ err: error, ...entry }, "writing the audit log failed"));
  }

  #ask<T extends keyof NodeAnswerTypes>(type: T, argument: object = {}): Promise<NodeAnswers<NodeAnswerTypes[T]>> {
    return this.#deps.queries.ask<NodeAnswerTypes[T]>({ type, ...argument });
  }

  #missing(
    { answered, silent, dead }: { answered: ReadonlySet<string>; silent: readonly string[]; dead: Map<string, number> },
    now: number,
  ): MissingNode[] {
    for (const nodeId of [...answered, ...this.#deps.control.living.map(nodeIdOf)]) this.#noteSeen(nodeId, now);
    for (const [nodeId, at] of dead) if (!this.#seen.has(nodeId)) this.#noteSeen(nodeId, at);
    const quiet = new Set(silent);
    return [...this.#seen].flatMap(([nodeId, lastSeenAt]) => {
      if (answered.has(nodeId)) return [];
      if (now - lastSeenAt > goneForMs) return this.#forget(nodeId);
      // A node that died, came back and left was seen after its death.
      const hasDied = (dead.get(nodeId) ?? -Infinity) + noticedWithinMs >= lastSeenAt;
      const state = quiet.has(nodeId) ? "silent" : hasDied ? "dead" : "left";
      return [{ nodeId, state, lastSeenAt } as const];
    });
  }

  #noteSeen(nodeId: string, now: number): void {
    this.#seen.set(nodeId, now);
    if (this.#seen.size <= maxGone) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(nodeId: string): [] {
    this.#seen.delete(nodeId);
    return [];
  }
}
