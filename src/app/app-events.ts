import { inspect } from "node:util";
import { appUserOf, type AppConnection, type AppUser } from "../connections/connection.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import type { ClientAnswers, ClientRequest } from "../protocol/client-requests.ts";
import { clientEvents } from "../protocol/client-events.ts";
import { appFailed, GatewayError } from "../protocol/errors.ts";
import { isName, maxNameLength } from "../protocol/names.ts";
import { isReservedEvent } from "../protocol/reserved-events.ts";
import { isStandardSchema, validateWith, type StandardSchema } from "../protocol/contract/standard-schema.ts";
import { describeConnection, type RequestConnection, type RequestOptions } from "./app-request.ts";

/** What an app may do in a handler, apart from everything that the gateway offers. */
export interface EventContext<Publish> {
  readonly user: AppUser;
  readonly connection: RequestConnection;
  readonly publish: Publish;
  /** Asks this client, or those of a user, and resolves with their acknowledgements; those that were silent are named. */
  request(request: ClientRequest & Partial<Record<"userId" | "connectionId", string>>): Promise<ClientAnswers>;
  /** Sends an event to this client. */
  emit(event: string, ...args: unknown[]): void;
}

/** Place of an event's argument: its fields are named without it. */
const argument = { at: "", name: "argument" };

/** Handles an event. The returned value is the acknowledgement; a thrown GatewayError is answered with its code. */
export type EventHandler<Publish, Input extends unknown[], Answer = unknown> = (
  context: EventContext<Publish>,
  ...args: Input
) => Answer;

interface Registered<Publish> {
  schema: StandardSchema | undefined;
  handle: EventHandler<Publish, never[]>;
}

/** What handlers may ask the gateway for. */
export interface AppActions<Publish> {
  publish: Publish;
  calls: {
    users: { request(userId: string, request: ClientRequest): Promise<ClientAnswers> };
    connections: { request(connectionId: string, request: ClientRequest): Promise<ClientAnswers> };
  };
}

/** Handlers of an app that runs in this process. */
export class InProcessEvents<Publish> implements AppEvents {
  readonly #handlers = new Map<string, Registered<Publish>>();
  readonly #actions: AppActions<Publish>;
  readonly #options: RequestOptions;

  constructor(actions: AppActions<Publish>, { nodeId }: { nodeId: string }) {
    this.#actions = actions;
    this.#options = { nodeId, headers: undefined };
  }

  /** Throws if the name is reserved or built in, or already has a handler; TypeError for what is no schema or no handler. */
  on(event: string, schema: StandardSchema | undefined, handle: EventHandler<Publish, never[]>): void {
    if (!isName(event)) throw new TypeError(`an event's name must be a string of 1 to ${maxNameLength} characters`);
    if (schema !== undefined && !isStandardSchema(schema))
      throw new TypeError(`${event}: the second argument is not a Standard Schema`);
    if (typeof handle !== "function" || isStandardSchema(handle)) throw new TypeError(`${event}: a handler is missing`);
    if (isReservedEvent(event) || Object.hasOwn(clientEvents, event))
      throw new Error(`${event} is reserved and cannot have a handler`);
    if (this.#handlers.has(event)) throw new Error(`${event} already has a handler`);
    this.#handlers.set(event, { schema, handle });
  }

  handlerOf(connection: AppConnection, event: string): ReturnType<AppEvents["handlerOf"]> {
    // Other namespaces have listeners of their sockets.
    const registered = connection.namespace === "/" ? this.#handlers.get(event) : undefined;
    return registered && ((args) => this.#run(connection, registered, args));
  }

  async #run(connection: AppConnection, { schema, handle }: Registered<Publish>, args: readonly unknown[]) {
    try {
      const checked = schema === undefined ? args : [await validateWith(schema, args[0], argument), ...args.slice(1)];
      const answer: unknown = await handle(this.#contextOf(connection), ...(checked as never[]));
      return answer === undefined ? [] : [answer];
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      throw appFailed(
        error instanceof Error
          ? error
          : new Error(`the app threw ${inspect(error, { depth: 0, maxStringLength: 200 })}`),
      );
    }
  }

  #contextOf(connection: AppConnection): EventContext<Publish> {
    const { id: connectionId } = connection;
    return {
      user: appUserOf(connection.identity),
      connection: describeConnection(connection, this.#options),
      publish: this.#actions.publish,
      request: ({ userId, connectionId: other = connectionId, ...request }) =>
        userId === undefined
          ? this.#actions.calls.connections.request(other, request)
          : this.#actions.calls.users.request(userId, request),
      emit: (event, ...args) => connection.emitFromApp(event, args),
    };
  }
}
