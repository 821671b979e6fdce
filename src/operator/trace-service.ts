import { randomUUID } from "node:crypto";
import { GatewayError } from "../protocol/errors.ts";
import type { LiveTrace, TraceBody, TracedEvent } from "../protocol/operator/traces.ts";
import type { Clock } from "../runtime/clock.ts";
import { maxTraces, type TracePage } from "./live-traces.ts";
import type { NodeAnswers, NodeQueries, NodeQuestion } from "../cluster/node-queries.ts";

export interface TraceServiceDeps {
  queries: Pick<NodeQueries, "ask">;
  clock: Pick<Clock, "now">;
}

/** Questions to a node about live traces. */
export interface TraceQuestion extends NodeQuestion {
  type: "trace.start" | "trace.stop" | "trace.read" | "traces";
  trace?: LiveTrace;
  traceId?: string;
  /** By node. */
  after?: Readonly<Record<string, number>>;
}

export interface TracePageOfNodes {
  trace: LiveTrace;
  events: (TracedEvent & { nodeId: string })[];
  cursor: string | undefined;
  skipped: number;
  hasEnded: boolean;
  silent: string[];
}

/** Live traces over all nodes: each records, and a reader takes what is new. Nothing of a trace is stored in Redis. */
export class TraceService {
  readonly #deps: TraceServiceDeps;

  constructor(deps: TraceServiceDeps) {
    this.#deps = deps;
  }

  /** Throws `conflict` if there are too many. */
  async start({ seconds, ...subject }: TraceBody, startedBy: string) {
    const startedAt = this.#deps.clock.now();
    const trace = { traceId: randomUUID(), ...subject, startedBy, startedAt, endsAt: startedAt + seconds * 1_000 };
    const { answers, silent } = await this.#ask<boolean>({ type: "trace.start", trace });
    if (answers.every(({ value }) => value))
      return { ...trace, nodes: answers.length + silent.length, acknowledged: answers.length };
    await this.stop(trace.traceId);
    throw new GatewayError("conflict", `There are ${maxTraces} traces already; stop one of them.`);
  }

  async stop(traceId: string) {
    const { answers, silent } = await this.#ask<boolean>({ type: "trace.stop", traceId });
    const stopped = answers.filter(({ value }) => value).length;
    return { stopped, nodes: answers.length + silent.length, acknowledged: answers.length };
  }

  async list(): Promise<{ traces: LiveTrace[]; silent: string[] }> {
    const { answers, silent } = await this.#ask<LiveTrace[]>({ type: "traces" });
    const byId = new Map(answers.flatMap(({ value }) => value).map((trace) => [trace.traceId, trace]));
    return { traces: [...byId.values()].toSorted((a, b) => a.startedAt - b.startedAt), silent };
  }

  /** What happened since the cursor; undefined if no node knows the trace. */
  async read(traceId: string, cursor: string | undefined): Promise<TracePageOfNodes | undefined> {
    const after = placesOf(cursor);
    const { answers, silent } = await this.#ask<TracePage | null>({ type: "trace.read", traceId, after });
    const pages = answers.flatMap(({ nodeId, value }) => (value === null ? [] : [{ nodeId, page: value }]));
    const [first] = pages;
    if (first === undefined) return undefined;
    const { trace } = first.page;
    const hasEnded = pages.every(({ page }) => page.hasEnded);
    // A node that started later.
    if (pages.length < answers.length && !hasEnded) await this.#ask({ type: "trace.start", trace });
    for (const { nodeId, page } of pages) after[nodeId] = page.last;
    const events = pages.flatMap(({ nodeId, page }) => page.events.map((event) => Object.assign({ nodeId }, event)));
    return {
      trace,
      events: events.toSorted((a, b) => a.at - b.at || a.place - b.place),
      cursor: cursorOf(after),
      skipped: pages.reduce((sum, { page }) => sum + page.skipped, 0),
      hasEnded,
      silent,
    };
  }

  #ask<T>(question: TraceQuestion): Promise<NodeAnswers<T>> {
    return this.#deps.queries.ask<T>(question);
  }
}

/** `n1:17,n2:4` */
const cursorOf = (places: Readonly<Record<string, number>>): string | undefined =>
  Object.entries(places)
    .map(([nodeId, place]) => `${nodeId}:${place}`)
    .join(",") || undefined;

function placesOf(cursor = ""): Record<string, number> {
  const pairs = cursor.split(",").map((pair) => pair.split(":"));
  return Object.fromEntries(pairs.flatMap(([nodeId = "", place]) => (nodeId === "" ? [] : [[nodeId, Number(place)]])));
}
