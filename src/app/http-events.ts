import { appUserOf, type AppConnection } from "../connections/connection.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import { isReservedEvent } from "../protocol/reserved-events.ts";
import { fromWire } from "../runtime/binary-json.ts";
import type { AppClient } from "./app-client.ts";
import { requestOf, type RequestOptions } from "./app-request.ts";
import { appResponse, Effects, type EffectsDeps } from "./effects.ts";

export interface HttpEventsOptions extends RequestOptions {
  /** Names of the events to forward; `*` forwards any other event. */
  events: Readonly<Record<string, object>>;
}

export interface HttpEventsDeps extends EffectsDeps {
  client: Pick<AppClient, "ask">;
}

/** Forwards events to an app over HTTP and applies its answers. */
export class HttpEvents implements AppEvents {
  readonly #client: HttpEventsDeps["client"];
  readonly #effects: Effects;
  readonly #options: HttpEventsOptions;

  constructor(deps: HttpEventsDeps, options: HttpEventsOptions) {
    this.#client = deps.client;
    this.#effects = new Effects(deps);
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
    const answer = await this.#client.ask(request, appResponse);
    await this.#effects.apply(connection, answer);
    return (answer.ack ?? []).map(fromWire);
  }
}
