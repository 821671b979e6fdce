import type { StreamBacklog } from "../../commands/stream-backlog.ts";
import { route, type Route } from "../../http/route.ts";
import {
  lettersActAnswer,
  lettersActBody,
  lettersAnswer,
  lettersQuery,
  operatorScheduledPage,
  queuesAnswer,
  type DeadLetterFilter,
} from "../../protocol/operator/operator-queues.ts";
import type { DeadLetters, StoredDeadLetter } from "../../redis/queues/dead-letters.ts";
import { parseCursor, scheduledQuery, toCursor } from "../../protocol/scheduled.ts";
import type { Schedule } from "../../commands/schedule.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { wrong } from "../../protocol/parse-with.ts";
import { seesPayloads, withoutData } from "./views.ts";

type ActedLetters = Pick<DeadLetters, "list" | "replay" | "remove">;

export interface OperatorQueueDeps {
  letters: {
    commands: Pick<DeadLetters, "count"> & ActedLetters;
    webhooks: Pick<DeadLetters, "count"> & ActedLetters;
    /** Undefined without an outbox. */
    outbox: ActedLetters | undefined;
  };
  backlog: () => Promise<StreamBacklog>;
  metrics: Pick<Metrics, "outboxLag" | "deadLetters">;
  /** What waits for each receiver of webhooks. */
  endpoints: () => Promise<{ to: string; waiting: number; queues: number; next: object[] }[]>;
  schedule: Pick<Schedule, "list">;
  showPayloads: boolean;
}

/** Max dead letters that one call replays or removes. */
const maxActs = 1_000;
const maxCommandLength = 4_096;

/** The backlog of commands, and dead letters. */
export function createOperatorQueues(deps: OperatorQueueDeps): Route[] {
  return [queues(deps), list(deps), act(deps, "replay"), act(deps, "remove"), listScheduled(deps)];
}

function queues({ letters, backlog, ...deps }: OperatorQueueDeps): Route {
  const definition = {
    method: "get",
    tag: "Operators",
    access: "operator",
    path: "/v1/operator/queues",
    operationId: "readQueues",
    summary: "What waits: stream commands, the outbox, webhooks; and how many dead letters there are.",
    answer: queuesAnswer,
  } as const;
  return route(definition, async () => {
    const counting = Promise.all([letters.commands.count(), letters.webhooks.count()]);
    const [commands, counts, endpoints] = await Promise.all([backlog(), counting, deps.endpoints()]);
    const waiting = endpoints.reduce((sum, endpoint) => sum + endpoint.waiting, 0);
    const outbox = letters.outbox && (await deps.metrics.deadLetters.get()).values.find(isOfOutbox)?.value;
    const deadLetters = { commands: counts[0], webhooks: counts[1], ...(outbox === undefined ? {} : { outbox }) };
    const lag = letters.outbox && (await deps.metrics.outboxLag.get()).values[0]?.value;
    const backlogOfOutbox = lag === undefined ? {} : { outbox: { lagSeconds: lag } };
    return { body: { commands, deadLetters, ...backlogOfOutbox, webhooks: { waiting, endpoints } } };
  });
}

const isOfOutbox = ({ labels }: { labels: { of?: string | number } }): boolean => labels.of === "outbox";

/** Throws `bad_request` for the outbox if there is none. */
function lettersOf({ letters }: OperatorQueueDeps, of: keyof OperatorQueueDeps["letters"]): ActedLetters {
  const found = letters[of];
  if (found === undefined) throw wrong("of", "needs an outbox (OUTBOX_URL)");
  return found;
}

function listScheduled({ schedule, showPayloads }: OperatorQueueDeps): Route {
  const definition = {
    method: "get",
    tag: "Operators",
    access: "operator",
    path: "/v1/operator/scheduled",
    operationId: "listOperatorScheduled",
    summary: "Scheduled publications, the next first.",
    query: scheduledQuery,
    answer: operatorScheduledPage,
  } as const;
  return route(definition, async ({ query: { limit, cursor }, role }) => {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const { scheduled, next } = await schedule.list({ limit, after });
    const shown = seesPayloads(role, showPayloads) ? scheduled : scheduled.map(withoutData);
    return { body: { scheduled: shown, ...(next === undefined ? {} : { cursor: toCursor(next) }) } };
  });
}

function list(deps: OperatorQueueDeps): Route {
  const { showPayloads } = deps;
  const definition = {
    method: "get",
    tag: "Operators",
    access: "operator",
    path: "/v1/operator/dead-letters",
    operationId: "listDeadLetters",
    summary: "Dead letters that match a filter, oldest first, with their reasons.",
    query: lettersQuery,
    answer: lettersAnswer,
  } as const;
  return route(definition, async ({ query: { of, after, limit = 50, ...filter }, role }) => {
    const found = [];
    for await (const { id, at, code, reason, tries, command } of matchingLetters(lettersOf(deps, of), filter, after)) {
      const payload = seesPayloads(role, showPayloads) ? { command: command.slice(0, maxCommandLength) } : {};
      found.push({ id, at, code, reason, tries, type: typeOf(command), bytes: command.length, ...payload });
      if (found.length >= limit) break;
    }
    return { body: { letters: found } };
  });
}

function act(deps: OperatorQueueDeps, what: "replay" | "remove"): Route {
  const definition = {
    method: "post",
    tag: "Operators",
    access: "admin",
    path: `/v1/operator/dead-letters/${what}`,
    operationId: `${what}DeadLetters`,
    summary: what === "replay" ? "Process dead letters again and remove them." : "Remove dead letters.",
    description: `By ids or by filter; at most ${maxActs} per call.`,
    body: lettersActBody,
    answer: lettersActAnswer,
  } as const;
  return route(definition, async ({ body: { of, ids, filter = {} } }) => {
    const letters = lettersOf(deps, of);
    const chosen = ids ?? (await idsOf(letters, filter));
    const { done, missing } = await letters[what](chosen.slice(0, maxActs));
    return { body: { done: done.length, missing: missing.length, more: chosen.length > maxActs } };
  });
}

async function idsOf(store: ActedLetters, filter: DeadLetterFilter): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of matchingLetters(store, filter)) {
    ids.push(id);
    if (ids.length > maxActs) break;
  }
  return ids;
}

const pageSize = 500;

/** Dead letters that match a filter, oldest first; a generator, so that nothing holds them all. */
async function* matchingLetters(
  store: Pick<ActedLetters, "list">,
  filter: DeadLetterFilter,
  after?: string,
): AsyncGenerator<StoredDeadLetter> {
  for (let last = after; ;) {
    const page = await store.list({ after: last, limit: pageSize });
    yield* page.filter((letter) => matches(letter, filter));
    last = page.at(-1)?.id;
    if (page.length < pageSize) return;
  }
}

function matches({ at, code, reason, command }: StoredDeadLetter, filter: DeadLetterFilter): boolean {
  return (
    (filter.code === undefined || code === filter.code) &&
    (filter.since === undefined || at >= filter.since) &&
    (filter.until === undefined || at < filter.until) &&
    (filter.reason === undefined || reason.includes(filter.reason)) &&
    (filter.type === undefined || typeOf(command) === filter.type)
  );
}

/** Of a stream command; undefined for anything else. */
function typeOf(command: string): string | undefined {
  try {
    const { type } = JSON.parse(command) as { type?: unknown };
    return typeof type === "string" ? type : undefined;
  } catch {
    return undefined;
  }
}
