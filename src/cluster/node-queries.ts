import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import type { Membership } from "./membership.ts";

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

/** Part of a node's answer, sent before the node has finished. */
export interface PartialAnswer {
  nodeId: string;
  value: unknown;
  /** Size of the message that brought it. */
  bytes: number;
}

export interface RoundOptions {
  timeoutMs: number;
  onPart?: (part: PartialAnswer) => void;
  /** Ends the round before all nodes have answered. */
  signal?: AbortSignal;
}

/** Answers a question for this node; `tell` sends parts of the answer ahead. Rejects if it cannot be answered. */
export type AnswerQuestion = (question: NodeQuestion, tell: (part: unknown) => void) => unknown;

export interface NodeQueriesDeps {
  commands: RedisClient;
  feed: Pick<ShardedFeed, "subscribe" | "unsubscribe">;
  keys: Keys;
  clock: Clock;
  log: Logger;
  nodeId: string;
  membership: Pick<Membership, "living" | "livingNow">;
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
  onPart: RoundOptions["onPart"];
  finish: () => void;
}

interface Reply {
  id: string;
  nodeId: string;
  value: unknown;
  isPart?: true;
}

/** The node's name without the part that changes with its incarnation. */
export const nodeIdOf = (incarnation: string): string => incarnation.slice(0, incarnation.lastIndexOf("/"));

/**
 * Asks every living node over pub/sub, and waits for each answer or a timeout. A node answers only what it is asked, so
 * without questions this costs one subscription per node.
 */
export class NodeQueries {
  readonly #deps: NodeQueriesDeps;
  readonly #handlers = new Map<string, AnswerQuestion>();
  readonly #pending = new Map<string, PendingRound>();
  readonly #shared = new Map<string, { at: number; round: Promise<NodeAnswers<unknown>> }>();
  readonly #replies: string;
  readonly #warn: (fields: object, message: string) => void;

  constructor(deps: NodeQueriesDeps) {
    this.#deps = deps;
    this.#warn = createPacedWarnings(deps.log);
    this.#replies = deps.keys.nodeReplies(randomUUID());
  }

  /** Registers how this node answers a type of question. */
  on(type: string, answer: AnswerQuestion): void {
    this.#handlers.set(type, answer);
  }

  async start(): Promise<void> {
    const { feed, keys } = this.#deps;
    await feed.subscribe(this.#replies, (message) => this.#receive(message));
    await feed.subscribe(keys.nodeQuestions(), (message) => void this.#answer(message));
  }

  stop(): void {
    this.#deps.feed.unsubscribe(this.#deps.keys.nodeQuestions());
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
    const round = this.#round(question, this.#deps.membership.living, { timeoutMs: answerTimeoutMs });
    this.#shared.set(key, { at: now, round });
    return round as Promise<NodeAnswers<T>>;
  }

  /**
   * Asks in a round of its own, for questions with an effect; nodes that have just joined are waited for too. Store errors
   * are passed through.
   */
  async askOnce(question: NodeQuestion, options: RoundOptions): Promise<NodeAnswers<unknown>> {
    return this.#round(question, await this.#deps.membership.livingNow(), options);
  }

  async #round(
    question: NodeQuestion,
    incarnations: readonly string[],
    { timeoutMs, onPart, signal }: RoundOptions,
  ): Promise<NodeAnswers<unknown>> {
    const { commands, keys, clock } = this.#deps;
    const id = randomUUID();
    const { state, done } = this.#expect(id, incarnations, onPart);
    const ended = new AbortController();
    signal?.addEventListener("abort", () => ended.abort());
    try {
      const message = { id, replyTo: this.#replies, question };
      await commands.spublish(keys.nodeQuestions(), JSON.stringify(message));
      await Promise.race([done, sleep(clock, timeoutMs, ended.signal)]);
    } finally {
      this.#pending.delete(id);
      ended.abort();
    }
    const { expected, answers } = state;
    return { answers: answers.toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : 1)), silent: [...expected].toSorted() };
  }

  #expect(
    id: string,
    incarnations: readonly string[],
    onPart: RoundOptions["onPart"],
  ): { state: PendingRound; done: Promise<void> } {
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    const expected = new Set(incarnations.map(nodeIdOf));
    const state: PendingRound = { since: this.#deps.clock.monotonic(), expected, answers: [], onPart, finish };
    this.#pending.set(id, state);
    return { state, done };
  }

  #receive(message: Buffer): void {
    const reply = parse(message) as Reply | undefined;
    const pending = reply && this.#pending.get(reply.id);
    if (reply === undefined || pending === undefined || !pending.expected.has(reply.nodeId)) return;
    const { nodeId, value } = reply;
    if (reply.isPart === true) return pending.onPart?.({ nodeId, value, bytes: message.length });
    pending.expected.delete(nodeId);
    const answerMs = Math.round(this.#deps.clock.monotonic() - pending.since);
    pending.answers.push({ nodeId, answerMs, value });
    if (pending.expected.size === 0) pending.finish();
  }

  async #answer(message: Buffer): Promise<void> {
    const asked = parse(message) as { id: string; replyTo: string; question: NodeQuestion } | undefined;
    if (typeof asked?.replyTo !== "string") return this.#warn({}, "ignored a malformed question of another node");
    const type = asked.question?.type;
    try {
      const answer = this.#handlers.get(type);
      if (answer === undefined) throw new Error(`unknown question: ${type}`);
      const tell = (part: unknown): void => {
        this.#reply(asked, { value: part, isPart: true }).catch((error: unknown) => this.#failed(type, error));
      };
      const value = await answer(asked.question, tell);
      await this.#reply(asked, { value });
    } catch (error) {
      this.#failed(type, error);
    }
  }

  async #reply({ id, replyTo }: { id: string; replyTo: string }, reply: Omit<Reply, "id" | "nodeId">): Promise<void> {
    const { commands, nodeId } = this.#deps;
    await commands.spublish(replyTo, JSON.stringify({ id, nodeId, ...reply }));
  }

  #failed(type: string, error: unknown): void {
    this.#warn({ err: error, type }, "answering a question of another node failed");
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
