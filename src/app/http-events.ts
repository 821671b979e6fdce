import { z } from "zod";
import { appUserOf, type AppConnection } from "../connections/connection.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import { eventArguments } from "../protocol/client-requests.ts";
import { closing } from "../protocol/closings.ts";
import { publishBody } from "../protocol/publications.ts";
import { isGatewayEvent, isReservedEvent } from "../protocol/reserved-events.ts";
import { channelName } from "../protocol/scalars.ts";
import { disconnectBody } from "../protocol/sessions.ts";
import type { AppClient } from "./app-client.ts";
import { requestOf, type RequestOptions } from "./app-request.ts";
import { fromWire } from "../runtime/binary-json.ts";

export interface HttpEventsOptions extends RequestOptions {
  /** Names of the events to forward; `*` forwards any other event. */
  events: Readonly<Record<string, object>>;
}

export interface HttpEventsDeps {
  client: Pick<AppClient, "ask">;
  publish: (publication: z.output<typeof publishBody>) => Promise<unknown>;
  subscribe: (connection: AppConnection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: AppConnection, channel: string) => void;
}

const channels = z.array(channelName).max(64).optional();

const appResponse = z.strictObject({
  ack: eventArguments.optional(),
  publish: z.array(publishBody).max(64).optional(),
  subscribe: channels,
  unsubscribe: channels,
  emit: z
    .array(
      z.strictObject({
        event: z.string().refine((event) => !isGatewayEvent(event), "is reserved"),
        args: eventArguments.default([]),
      }),
    )
    .max(64)
    .optional(),
  disconnect: disconnectBody.unwrap().omit({ idempotencyKey: true }).optional(),
});

type AppResponse = z.output<typeof appResponse>;

/** Forwards events to an app over HTTP and applies its answers. */
export class HttpEvents implements AppEvents {
  readonly #deps: HttpEventsDeps;
  readonly #options: HttpEventsOptions;

  constructor(deps: HttpEventsDeps, options: HttpEventsOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  handlerOf(connection: AppConnection, event: string): ReturnType<AppEvents["handlerOf"]> {
    const { events } = this.#options;
    const isForwarded = Object.hasOwn(events, event) || (Object.hasOwn(events, "*") && !isReservedEvent(event));
    return isForwarded ? (args) => this.#forward(connection, event, args) : undefined;
  }

  async #forward(connection: AppConnection, event: string, args: readonly unknown[]): Promise<readonly unknown[]> {
    const user = appUserOf(connection.identity);
    const request = requestOf({ type: "event", event, args, connection, user }, this.#options);
    const answer = await this.#deps.client.ask(request, appResponse);
    await this.#apply(connection, answer);
    return (answer.ack ?? []).map(fromWire);
  }

  /** In a fixed order; a refused effect fails the event. */
  async #apply(connection: AppConnection, answer: AppResponse): Promise<void> {
    const { publish, subscribe, unsubscribe } = this.#deps;
    for (const channel of answer.subscribe ?? []) await subscribe(connection, channel);
    for (const channel of answer.unsubscribe ?? []) unsubscribe(connection, channel);
    for (const publication of answer.publish ?? []) await publish(publication);
    for (const { event, args } of answer.emit ?? []) connection.emitFromApp(event, args.map(fromWire));
    if (answer.disconnect === undefined) return;
    const { code = "disconnected_by_backend", ...more } = answer.disconnect;
    // After the acknowledgement.
    setImmediate(() => connection.close(closing(code, more)));
  }
}
