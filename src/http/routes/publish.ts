import type { EphemeralPublished, Published } from "../../channels/publication.ts";
import type { CommandExecutor } from "../../commands/command-executor.ts";
import type { Schedule } from "../../commands/schedule.ts";
import { parseWith } from "../../protocol/parse-with.ts";
import {
  broadcastBody,
  publishBatchBody,
  publishAnswer,
  publishBody,
  publishResults,
  type PublishResult,
} from "../../protocol/publications.ts";
import { publishOrScheduleBody, scheduled } from "../../protocol/scheduled.ts";
import { channelName } from "../../protocol/scalars.ts";
import { refusalOf } from "../../commands/refusal.ts";
import { route, type Route } from "../route.ts";

export interface PublishRouteDeps {
  executor: Pick<CommandExecutor, "perform" | "checkPayload">;
  schedule: Pick<Schedule, "plan">;
}

/** `POST /v1/publish`, `/v1/publish/batch` and `/v1/broadcast`. */
export function createPublishRoutes({ executor, schedule }: PublishRouteDeps): Route[] {
  return [publish(executor, schedule), publishBatch(executor), broadcast(executor)];
}

type AnyPublished = Published | EphemeralPublished;
type Executor = PublishRouteDeps["executor"];

function publish(executor: Executor, schedule: PublishRouteDeps["schedule"]): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/publish",
    operationId: "publish",
    tag: "Publishing",
    summary: "Publish to a channel, now or later.",
    refusals: ["unknown_channel", "conflict"],
    body: publishOrScheduleBody,
    answer: publishAnswer,
    otherAnswers: { 202: { meaning: "Scheduled.", answer: scheduled } },
  } as const;

  return route(definition, async ({ body: { delayMs, publishAt, ...message }, idempotencyKey, door }) => {
    const publication = { ...message, idempotencyKey };
    if (publishAt !== undefined) return { status: 202, body: await schedule.plan(publication, { publishAt }) };
    if (delayMs !== undefined) return { status: 202, body: await schedule.plan(publication, { delayMs }) };
    return { body: toAnswer(await executor.perform({ ...publication, type: "publish" }, { door })) };
  });
}

function publishBatch(executor: Executor): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/publish/batch",
    operationId: "publishBatch",
    tag: "Publishing",
    summary: "Publish up to 1000 messages.",
    description:
      "Results are in the order of the publications. An item that is refused does not affect the others, with one exception: " +
      "once a channel's limit refuses an item, it refuses the later items for that channel too. So a retry keeps their order.",
    body: publishBatchBody,
    answer: publishResults,
  } as const;

  return route(definition, async ({ body, idempotencyKey, door }) => {
    const publishItem = async (item: unknown, index: number): Promise<AnyPublished> => {
      const at = `publications[${index}]`;
      const message = parseWith(publishBody, item, at);
      const own = message.idempotencyKey ?? nth(idempotencyKey, index);
      return executor.perform({ ...message, type: "publish", idempotencyKey: own }, { door, at });
    };
    return { body: { results: await settleAll(body.publications.map(publishItem)) } };
  });
}

function broadcast(executor: Executor): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/broadcast",
    operationId: "broadcast",
    tag: "Publishing",
    summary: "Publish the same message to up to 1000 channels.",
    description: "Results are in the order of the channels. An item that is refused does not affect the others.",
    body: broadcastBody,
    answer: publishResults,
  } as const;

  return route(definition, async ({ body, idempotencyKey, door }) => {
    const { channels, event, data } = body;
    executor.checkPayload(data);
    const publishTo = async (name: unknown, index: number): Promise<AnyPublished> => {
      const channel = parseWith(channelName, name, `channels[${index}]`);
      const context = { door, sharesData: true } as const;
      return executor.perform({ type: "publish", channel, event, data, idempotencyKey }, context);
    };
    return { body: { results: await settleAll(channels.map(publishTo)) } };
  });
}

/** One result per item, in order. */
const settleAll = (items: readonly Promise<AnyPublished>[]): Promise<PublishResult[]> =>
  Promise.all(items.map((item) => item.then(toResult, toFailedResult)));

/**
 * A batch may name a channel many times, so each of its items has a key of its own, made of the batch's. In a broadcast
 * the one key serves all channels: keys of two channels never meet.
 */
const nth = (idempotencyKey: string | undefined, index: number): string | undefined =>
  idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}`;

const toResult = (published: AnyPublished): PublishResult => ({ ok: true, ...toAnswer(published) });
const toFailedResult = (error: unknown): PublishResult => ({ ok: false, error: refusalOf(error).toBody() });

/** An ephemeral publication has no position. */
function toAnswer(published: AnyPublished): AnyPublished {
  if (!("offset" in published)) return { channel: published.channel };
  const { channel, epoch, offset, duplicate } = published;
  return { channel, epoch, offset, duplicate };
}
