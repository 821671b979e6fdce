import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";

/** A question to every node: its type and JSON arguments. */
export interface NodeQuestion {
  type: string;
  [argument: string]: unknown;
}

export interface NodeAnswers<T> {
  answers: { nodeId: string; answerMs: number; value: T }[];
  /** Living nodes that did not answer in time. */
  silent: string[];
}

export interface NodeQueriesDeps {
  commands: RedisClient;
  feed: Pick<ShardedFeed, "subscribe" | "unsubscribe">;
  keys: Keys;
  clock: Clock;
  log: Logger;
  nodeId: string;
  /** Incarnations of the nodes with a lease. */
  living: () => readonly string[];
  /** Answers for this node; rejects if the question is unknown. */
  answer: (question: NodeQuestion) => unknown;
}

/** Max milliseconds to wait for the slowest node. */
const answerTimeoutMs = 1_000;
/** Within this time, equal questions share one round, so that many watchers cost as much as one. */
const shareMs = 500;
/** Max rounds that are shared. */
const maxShared = 256;

interface PendingRound {
  since: number;
  expected: Set<string>;
  answers: NodeAnswers<unknown>["answers"];
  finish: () => void;
}

/** The node's name without the part that changes with its incarnation. */
export const nodeIdOf = (incarnation: string): string => incarnation.slice(0, incarnation.lastIndexOf("/"));

/**
 * Asks every living node over pub/sub, and waits for each answer or a timeout. A node answers only what it is asked, so
 * without questions this costs one subscription per node.
 */
export class NodeQueries {
  readonly #deps: NodeQueriesDeps;
  readonly #pending = new Map<string, PendingRound>();
  readonly #shared = new Map<string, { at: number; round: Promise<NodeAnswers<unknown>> }>();
  readonly #replies: string;
  readonly #warn: (fields: object, message: string) => void;

  constructor(deps: NodeQueriesDeps) {
    this.#deps = deps;
    this.#warn = createPacedWarnings(deps.log);
    this.#replies = deps.keys.operatorReplies(randomUUID());
  }

  async start(): Promise<void> {
    const { feed, keys } = this.#deps;
    await feed.subscribe(this.#replies, (message) => this.#receive(message));
    await feed.subscribe(keys.operatorQuestions(), (message) => void this.#answer(message));
  }

  stop(): void {
    this.#deps.feed.unsubscribe(this.#deps.keys.operatorQuestions());
    this.#deps.feed.unsubscribe(this.#replies);
    for (const { finish } of this.#pending.values()) finish();
  }

  /** Answers may be as old as `maxAgeMs`. Store errors are passed through. */
  ask<T>(question: NodeQuestion, maxAgeMs = shareMs): Promise<NodeAnswers<T>> {
    const key = JSON.stringify(question);
    const now = this.#deps.clock.monotonic();
    const known = this.#shared.get(key);
    if (known !== undefined && now - known.at < maxAgeMs) return known.round as Promise<NodeAnswers<T>>;
    if (this.#shared.size >= maxShared) this.#shared.clear();
    const round = this.#round(question);
    this.#shared.set(key, { at: now, round });
    return round as Promise<NodeAnswers<T>>;
  }

  async #round(question: NodeQuestion): Promise<NodeAnswers<unknown>> {
    const { commands, keys, clock, living } = this.#deps;
    const id = randomUUID();
    const pending = this.#expect(id, living());
    try {
      const message = { id, replyTo: this.#replies, question };
      await commands.spublish(keys.operatorQuestions(), JSON.stringify(message));
      await Promise.race([pending.done, sleep(clock, answerTimeoutMs)]);
    } finally {
      this.#pending.delete(id);
    }
    const { expected, answers } = pending.state;
    return { answers: answers.toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : 1)), silent: [...expected].toSorted() };
  }

  #expect(id: string, incarnations: readonly string[]): { state: PendingRound; done: Promise<void> } {
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    const expected = new Set(incarnations.map(nodeIdOf));
    const state: PendingRound = { since: this.#deps.clock.monotonic(), expected, answers: [], finish };
    this.#pending.set(id, state);
    return { state, done };
  }

  #receive(message: Buffer): void {
    const reply = parse(message) as { id: string; nodeId: string; value: unknown } | undefined;
    const pending = reply && this.#pending.get(reply.id);
    if (reply === undefined || pending === undefined) return;
    if (!pending.expected.delete(reply.nodeId)) return;
    const answerMs = Math.round(this.#deps.clock.monotonic() - pending.since);
    pending.answers.push({ nodeId: reply.nodeId, answerMs, value: reply.value });
    if (pending.expected.size === 0) pending.finish();
  }

  async #answer(message: Buffer): Promise<void> {
    const asked = parse(message) as { id: string; replyTo: string; question: NodeQuestion } | undefined;
    if (typeof asked?.replyTo !== "string") return this.#warn({}, "ignored a malformed operator query");
    const { commands, nodeId, answer } = this.#deps;
    try {
      const value = await answer(asked.question);
      await commands.spublish(asked.replyTo, JSON.stringify({ id: asked.id, nodeId, value }));
    } catch (error) {
      this.#warn({ err: error, type: asked.question?.type }, "answering an operator query failed");
    }
  }
}

function parse(message: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(message.toString());
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
