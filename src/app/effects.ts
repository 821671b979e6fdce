import { z } from "zod";
import type { AppConnection } from "../connections/connection.ts";
import { eventArguments } from "../protocol/client-requests.ts";
import { closing } from "../protocol/closings.ts";
import { AppFault, GatewayError, type ErrorCode } from "../protocol/errors.ts";
import { publishBody } from "../protocol/publications.ts";
import { isGatewayEvent } from "../protocol/reserved-events.ts";
import { clientChannelName, eventName } from "../protocol/scalars.ts";
import { disconnectBody } from "../protocol/sessions.ts";
import { fromWire } from "../runtime/binary-json.ts";

/** Max effects of one type. */
const maxEffects = 64;

const channels = z.array(clientChannelName).max(maxEffects).optional();

/** What an app answers to an event. */
export const appResponse = z.strictObject({
  ack: eventArguments.optional(),
  publish: z.array(publishBody).max(maxEffects).optional(),
  subscribe: channels,
  unsubscribe: channels,
  emit: z
    .array(
      z.strictObject({
        event: eventName.refine((event) => !isGatewayEvent(event), "is reserved"),
        args: eventArguments.default([]),
      }),
    )
    .max(maxEffects)
    .optional(),
  disconnect: disconnectBody.unwrap().omit({ idempotencyKey: true }).optional(),
});

export type AppResponse = z.output<typeof appResponse>;
type Publication = z.output<typeof publishBody>;

export interface EffectsDeps {
  /** Throws if the publication would be refused. `at` is its path. */
  checkPublish: (publication: Publication, at: string) => void;
  publish: (publication: Publication) => Promise<unknown>;
  /** Throws if the connection cannot subscribe to the channel in addition to `others`. */
  checkSubscribe: (connection: AppConnection, channel: string, others: ReadonlySet<string>) => void;
  subscribe: (connection: AppConnection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: AppConnection, channel: string) => void;
}

/** Codes of what is no fault of the app. */
const notOfTheApp: readonly ErrorCode[] = ["unavailable", "writes_refused", "internal"];

/** Applies the effects in an app's answer to an event. What is refused fails the event with `app_failed`. */
export class Effects {
  readonly #deps: EffectsDeps;

  constructor(deps: EffectsDeps) {
    this.#deps = deps;
  }

  /**
   * In a fixed order. All are checked before the first is applied; only what nobody can know before, such as a channel's
   * rate limit, ends it in the middle.
   */
  async apply(connection: AppConnection, answer: AppResponse): Promise<void> {
    const { publish = [], subscribe = [], unsubscribe = [], emit = [] } = answer;
    this.#check(connection, publish, subscribe);
    for (const [index, channel] of subscribe.entries())
      await at(`subscribe[${index}]`, () => this.#deps.subscribe(connection, channel));
    for (const channel of unsubscribe) this.#deps.unsubscribe(connection, channel);
    for (const [index, publication] of publish.entries())
      await at(`publish[${index}]`, () => this.#deps.publish(publication));
    for (const { event, args } of emit) connection.emitFromApp(event, args.map(fromWire));
    if (answer.disconnect !== undefined) disconnect(connection, answer.disconnect);
  }

  #check(connection: AppConnection, publish: readonly Publication[], subscribe: readonly string[]): void {
    const { checkPublish, checkSubscribe } = this.#deps;
    const others = new Set<string>();
    for (const [index, channel] of subscribe.entries()) {
      checkAt(`subscribe[${index}]`, () => checkSubscribe(connection, channel, others));
      others.add(channel);
    }
    for (const [index, publication] of publish.entries())
      checkAt(`publish[${index}]`, (path) => checkPublish(publication, path));
  }
}

/** After the acknowledgement. */
function disconnect(connection: AppConnection, given: NonNullable<AppResponse["disconnect"]>): void {
  const { code = "disconnected_by_backend", ...more } = given;
  setImmediate(() => connection.close(closing(code, more)));
}

function checkAt(effect: string, check: (path: string) => void): void {
  const path = `answer.${effect}`;
  try {
    check(path);
  } catch (error) {
    throw faultOf(error, path);
  }
}

async function at(effect: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    throw faultOf(error, `answer.${effect}`);
  }
}

/** The client is told that the app failed; the log, which effect and why. */
function faultOf(error: unknown, path: string): unknown {
  if (!(error instanceof GatewayError) || notOfTheApp.includes(error.code)) return error;
  const { field = path } = error;
  return new AppFault(error, { field: field.startsWith(path) ? field : `${path}.${field}` });
}
