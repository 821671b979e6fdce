import type { Published, PublishRequest } from "../../channels/publication.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { canonicalJson } from "../../protocol/gate.ts";
import { parseWith } from "../../protocol/parse-with.ts";
import {
  broadcastBody,
  publishBatchBody,
  published,
  publishMessage,
  publishResults,
  type PublishResult,
} from "../../protocol/publications.ts";
import { channelName } from "../../protocol/scalars.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { refusalOf } from "../../commands/refusal.ts";
import { route, type Route } from "../route.ts";

/** What these routes ask of the channels. */
export interface Publisher {
  publish(request: PublishRequest): Promise<Published>;
  /** All at once; each has its own outcome, in order. */
  publishMany(requests: readonly PublishRequest[]): Promise<readonly (Published | Error)[]>;
}

export interface PublishRouteDeps {
  channels: Publisher;
  metrics: Pick<Metrics, "publications">;
}

export interface PublishRoutesOptions {
  /** Most bytes of one publication's `data`, as canonical JSON. @default 65536 */
  payloadBytes?: number;
}

/** `POST /v1/publish`, `/v1/publish/batch` and `/v1/broadcast`. */
export function createPublishRoutes(
  deps: PublishRouteDeps,
  { payloadBytes = 65_536 }: PublishRoutesOptions = {},
): Route[] {
  const payload = payloadWithin(payloadBytes);
  return [publish(deps, payload), publishBatch(deps, payload), broadcast(deps, payload)];
}

function publish({ channels, metrics }: PublishRouteDeps, payload: Payload): Route {
  const definition = {
    method: "post",
    path: "/v1/publish",
    operationId: "publish",
    tag: "Publishing",
    summary: "Publish to a channel.",
    refusals: ["unknown_channel", "conflict"],
    body: publishMessage,
    answer: published,
  } as const;

  return route(definition, async ({ body: { channel, event, data }, idempotencyKey }) => {
    const outcome = await channels.publish({ channel, event, data: payload(data, "data"), idempotencyKey });
    countAccepted(metrics, [outcome]);
    return { body: toAnswer(outcome) };
  });
}

function publishBatch(deps: PublishRouteDeps, payload: Payload): Route {
  const definition = {
    method: "post",
    path: "/v1/publish/batch",
    operationId: "publishBatch",
    tag: "Publishing",
    summary: "Publish up to 1000 messages.",
    description: "Results are in the order of the publications. An item that is refused does not affect the others.",
    body: publishBatchBody,
    answer: publishResults,
  } as const;

  return route(definition, async ({ body, idempotencyKey }) => {
    const drafts = body.publications.map((item, index) => () => {
      const at = `publications[${index}]`;
      const { channel, event, data, idempotencyKey: own } = parseWith(publishMessage, item, at);
      return { channel, event, data: payload(data, `${at}.data`), idempotencyKey: own ?? nth(idempotencyKey, index) };
    });
    return { body: { results: await publishAll(deps, drafts) } };
  });
}

function broadcast(deps: PublishRouteDeps, payload: Payload): Route {
  const definition = {
    method: "post",
    path: "/v1/broadcast",
    operationId: "broadcast",
    tag: "Publishing",
    summary: "Publish the same message to up to 1000 channels.",
    description: "Results are in the order of the channels. An item that is refused does not affect the others.",
    body: broadcastBody,
    answer: publishResults,
  } as const;

  return route(definition, async ({ body, idempotencyKey }) => {
    const data = payload(body.data, "data");
    const drafts = body.channels.map((name, index) => () => {
      const channel = parseWith(channelName, name, `channels[${index}]`);
      return { channel, event: body.event, data, idempotencyKey };
    });
    return { body: { results: await publishAll(deps, drafts) } };
  });
}

/** Returns `data` as canonical JSON, as sent to all nodes and subscribers; `field` is named in the error. */
type Payload = (data: unknown, field: string) => string;

function payloadWithin(maxBytes: number): Payload {
  return (data, field) => {
    const text = canonicalJson(data);
    if (Buffer.byteLength(text) <= maxBytes) return text;
    throw new GatewayError("payload_too_large", `${field}: must be at most ${maxBytes} bytes`, { field });
  };
}

/** A publication that is not validated yet; throws a GatewayError if it is invalid. */
type Draft = () => PublishRequest;

/** Publishes the valid items of a batch at once, and returns results for all items in order. */
async function publishAll({ channels, metrics }: PublishRouteDeps, drafts: readonly Draft[]): Promise<PublishResult[]> {
  const checked = drafts.map(check);
  const outcomes = await channels.publishMany(checked.filter((one): one is PublishRequest => !(one instanceof Error)));
  countAccepted(metrics, outcomes);
  const inOrder = outcomes.values();
  return checked.map((one) => toResult(one instanceof Error ? one : inOrder.next().value));
}

function check(draft: Draft): PublishRequest | GatewayError {
  try {
    return draft();
  } catch (error) {
    return refusalOf(error);
  }
}

function countAccepted(metrics: PublishRouteDeps["metrics"], outcomes: readonly (Published | Error)[]): void {
  const accepted = outcomes.filter((outcome) => !(outcome instanceof Error) && !outcome.duplicate);
  metrics.publications.inc({ door: "http" }, accepted.length);
}

/**
 * A batch may name a channel many times, so each of its items has a key of its own, made of the batch's. In a broadcast
 * the one key serves all channels: keys of two channels never meet.
 */
const nth = (idempotencyKey: string | undefined, index: number): string | undefined =>
  idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}`;

function toResult(outcome: Published | Error | undefined): PublishResult {
  if (outcome === undefined || outcome instanceof Error) return { ok: false, error: refusalOf(outcome).toBody() };
  return { ok: true, ...toAnswer(outcome) };
}

const toAnswer = ({ channel, epoch, offset, duplicate }: Published): Published => ({
  channel,
  epoch,
  offset,
  duplicate,
});
