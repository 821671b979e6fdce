import type { Fence } from "../cluster/fence.ts";
import type { AnswerQuestion, NodeQueries, PartialAnswer } from "../cluster/node-queries.ts";
import {
  defaultRequestTimeoutMs,
  type ClientAnswers,
  type ClientRequest,
  type AskedClients,
} from "../protocol/client-requests.ts";
import { GatewayError } from "../protocol/errors.ts";
import { fromWire, toWire } from "../runtime/binary-json.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";

export interface RequestsToClientsDeps {
  queries: Pick<NodeQueries, "on" | "askOnce">;
  connections: Pick<Connections, "get" | "ofUser">;
  /** While it is closed nothing is sent to clients. */
  fence: Pick<Fence, "openedWithin">;
  clock: Clock;
}

/** Max requests of this node in flight. */
const maxInFlight = 1_000;
/** Max bytes of the answers to one request; what comes after is not waited for. */
const maxAnswerBytes = 4 * 1_048_576;
const retryAfterMs = 1_000;

const questionType = "client.request";

interface NodeRequest {
  target: AskedClients;
  event: string;
  args: readonly unknown[];
  wait: "all" | "first";
  /** By the clock of Redis. A node that was frozen asks nobody afterwards. */
  endsAt: number;
}

/** What a node reports: first which connections it asks, then each answer. */
type ClientReport = { asked: string[] } | { connectionId: string; args: unknown[] };

/** Requests to clients on all nodes, which they answer with an acknowledgement. Binary values are `{ $binary }`. */
export class RequestsToClients {
  readonly #deps: RequestsToClientsDeps;
  #inFlight = 0;

  constructor(deps: RequestsToClientsDeps) {
    this.#deps = deps;
    deps.queries.on(questionType, (question, tell) => this.#askOwn(question["request"] as NodeRequest, tell));
  }

  /** Throws `unavailable` if too many are in flight; store errors are passed through. */
  async ask(target: AskedClients, request: ClientRequest): Promise<ClientAnswers> {
    const { event, args = [], timeoutMs = defaultRequestTimeoutMs, wait = "all" } = request;
    if (this.#inFlight >= maxInFlight)
      throw new GatewayError("unavailable", "Too many requests to clients are in flight.", { retryAfterMs });
    const { queries, clock } = this.#deps;
    const collected = new CollectedAnswers(wait);
    const question: NodeRequest = { target, event, args, wait, endsAt: clock.now() + timeoutMs };
    this.#inFlight += 1;
    try {
      const { answers, silent } = await queries.askOnce(
        { type: questionType, request: question },
        { timeoutMs, onPart: (part) => collected.add(part), signal: collected.complete },
      );
      return collected.result(answers.length + silent.length);
    } finally {
      this.#inFlight -= 1;
    }
  }

  async #askOwn({ target, event, args, wait, endsAt }: NodeRequest, tell: Tell): Promise<void> {
    const { clock, fence } = this.#deps;
    await fence.openedWithin(endsAt - clock.now());
    const leftMs = endsAt - clock.now();
    if (leftMs <= 0) return;
    const asked = this.#connectionsOf(target);
    tell({ asked: asked.map(({ id }) => id) });
    const end = new AbortController();
    const cancelEnd = clock.after(leftMs, () => end.abort());
    const decoded = args.map(fromWire);
    await Promise.all(
      asked.map(async (connection) => {
        const answer = await connection.request(event, decoded, end.signal);
        if (answer === undefined) return;
        tell({ connectionId: connection.id, args: answer.map(toWire) });
        if (wait === "first") end.abort();
      }),
    );
    cancelEnd();
  }

  #connectionsOf(target: AskedClients): readonly Connection[] {
    const { connections } = this.#deps;
    if ("userId" in target) return connections.ofUser(target.userId);
    const connection = connections.get(target.connectionId);
    return connection === undefined ? [] : [connection];
  }
}

type Tell = (report: ClientReport) => ReturnType<Parameters<AnswerQuestion>[1]>;

/** The answers of one request, as nodes report them. */
class CollectedAnswers {
  readonly #wait: "all" | "first";
  readonly #complete = new AbortController();
  readonly #silent = new Set<string>();
  readonly #answers: ClientAnswers["answers"] = [];
  readonly #reporting = new Set<string>();
  #bytes = 0;

  constructor(wait: "all" | "first") {
    this.#wait = wait;
  }

  /** Aborts if no further answer is wanted. */
  get complete(): AbortSignal {
    return this.#complete.signal;
  }

  add({ nodeId, value, bytes }: PartialAnswer): void {
    const report = value as ClientReport;
    this.#reporting.add(nodeId);
    this.#bytes += bytes;
    if ("asked" in report) for (const id of report.asked) this.#silent.add(id);
    else if (!this.complete.aborted && this.#bytes <= maxAnswerBytes) this.#addAnswer(report);
    if (this.#bytes > maxAnswerBytes) this.#complete.abort();
  }

  #addAnswer(answer: ClientAnswers["answers"][number]): void {
    this.#silent.delete(answer.connectionId);
    this.#answers.push({ connectionId: answer.connectionId, args: answer.args });
    if (this.#wait === "first") this.#complete.abort();
  }

  result(nodes: number): ClientAnswers {
    return {
      answers: this.#answers,
      silent: [...this.#silent].map((connectionId) => ({ connectionId })),
      nodes,
      acknowledged: this.#reporting.size,
    };
  }
}
