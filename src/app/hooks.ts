import { z } from "zod";
import type { AppUser, ConnectionInfo } from "../connections/connection.ts";
import {
  AppFault,
  AppRefusal,
  GatewayError,
  isTemporary,
  type ErrorCode,
  type RefusalReason,
} from "../protocol/errors.ts";
import { canonicalJson, checkValue } from "../protocol/gate.ts";
import type { HookType } from "../protocol/hooks.ts";
import { parseWith } from "../protocol/parse-with.ts";
import { ownCode } from "../protocol/scalars.ts";
import { appLogin } from "../protocol/sessions.ts";
import type { Clock } from "../runtime/clock.ts";
import type { AppClient } from "./app-client.ts";
import { requestOf, type AppRequest, type RequestOptions } from "./app-request.ts";
import { HookAnswers, type ForgetAnswers } from "./hook-answers.ts";

const ttlSeconds = z.int().min(1).max(86_400).optional();

const refusal = z.strictObject({
  code: ownCode.optional(),
  message: z.string().max(1_024).optional(),
  retryAfterMs: z.int().min(0).max(86_400_000).optional(),
});

const refused = z.union([
  z.strictObject({ refuse: refusal, ttlSeconds }),
  z
    .strictObject({ allow: z.literal(false), ttlSeconds })
    .transform(({ ttlSeconds: kept }) => ({ refuse: {}, ttlSeconds: kept })),
]);
const allowed = z.strictObject({ allow: z.literal(true), ttlSeconds });
const changed = z.strictObject({ allow: z.literal(true).optional(), data: z.json() });

const connectAnswer = z.union([
  z.strictObject({ refuse: refusal }),
  z.strictObject({ allow: z.literal(false) }).transform(() => ({ refuse: {} })),
  appLogin,
]);
const subscribeAnswer = z.union([refused, allowed]);
const publishAnswer = z.union([refused, allowed, changed]);

/** Answer to the connect hook: who the client is, or why it is refused. */
export type ConnectHookAnswer = z.input<typeof connectAnswer>;
/** Answer to the subscribe hook. It is remembered for `ttlSeconds`. */
export type SubscribeHookAnswer = z.input<typeof subscribeAnswer>;
/** Answer to the publish hook; `data` replaces the data of the publication. It is remembered for `ttlSeconds`. */
export type PublishHookAnswer = z.input<typeof publishAnswer>;

type ChannelAnswer = z.output<typeof publishAnswer>;

/** A hook of an app in this process. A thrown GatewayError refuses with its code. */
export type Hook<Answer> = (request: AppRequest) => Answer | Promise<Answer>;

/** Adds hooks of an app in this process, at most one of each type. */
export interface HookRegistry {
  /** Authenticates clients that send no token. */
  connect(hook: Hook<ConnectHookAnswer>): void;
  /** Decides about channels whose kind says `"subscribe": "hook"`. */
  subscribe(hook: Hook<SubscribeHookAnswer>): void;
  /** Decides about publications of clients to channels whose kind says `"publish": "hook"`. */
  publish(hook: Hook<PublishHookAnswer>): void;
}

/** A client that wants to subscribe or publish. */
export interface ChannelHookRequest {
  action: "subscribe" | "publish";
  user: AppUser;
  channel: string;
  /** Undefined if an operator asks. */
  connection: ConnectionInfo | undefined;
  /** `data` is JSON. */
  publication?: { event: string; data: string } | undefined;
}

export interface AppHooksDeps {
  /** Omit without an app over HTTP. */
  client?: Pick<AppClient, "ask"> | undefined;
  clock: Clock;
}

export interface AppHooksOptions extends RequestOptions {
  /** Hooks that the app over HTTP has. */
  hooks: readonly HookType[];
  /** Max time for a hook of this process to answer. */
  timeoutMs: number;
  /** Max bytes of changed data. */
  payloadBytes: number;
}

/** Asks an app, in this process or over HTTP, before clients connect, subscribe and publish. */
export class AppHooks {
  readonly #deps: AppHooksDeps;
  readonly #options: AppHooksOptions;
  readonly #own = new Map<HookType, Hook<unknown>>();
  readonly #answers: HookAnswers<ChannelAnswer & { ttlSeconds?: number | undefined }>;

  constructor(deps: AppHooksDeps, options: AppHooksOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#answers = new HookAnswers(deps.clock);
  }

  /** Throws if there is a hook of this type already, and TypeError for what is no function. */
  add(type: HookType, hook: Hook<unknown>): void {
    if (typeof hook !== "function") throw new TypeError(`the ${type} hook must be a function`);
    if (this.#own.has(type)) throw new Error(`there is a ${type} hook already`);
    this.#own.set(type, hook);
  }

  has(type: HookType): boolean {
    return this.#own.has(type) || (this.#deps.client !== undefined && this.#options.hooks.includes(type));
  }

  /** Throws the app's refusal, or `timeout`, `app_failed` or `unavailable`. */
  async connect(connection: ConnectionInfo): Promise<z.output<typeof appLogin>> {
    const answer = await this.#ask("connect", requestOf({ type: "connect", connection }, this.#options), connectAnswer);
    if ("refuse" in answer) throw refusalOf("connect", answer.refuse);
    return answer;
  }

  /** Resolves with the data that replaces a publication's, as canonical JSON; undefined if it stays. Throws as `connect` does. */
  async judge(request: ChannelHookRequest): Promise<string | undefined> {
    const { action, user, channel } = request;
    if (!this.has(action)) throw forbidden(`the app has no ${action} hook`);
    const subject = { action, userId: user.userId, sessionId: user.sessionId, channel };
    const answer = await this.#answers.answer(subject, () => this.#askAbout(request));
    if ("refuse" in answer) throw refusalOf(action, answer.refuse);
    return "data" in answer ? this.#textOf(answer.data) : undefined;
  }

  /** Forgets remembered answers, so that the app is asked again. */
  forget(what: ForgetAnswers): void {
    this.#answers.forget(what);
  }

  #askAbout({ action, user, channel, connection, publication }: ChannelHookRequest): Promise<ChannelAnswer> {
    const content = publication && { event: publication.event, args: [JSON.parse(publication.data) as unknown] };
    const request = requestOf({ type: action, channel, connection, user, ...content }, this.#options);
    return this.#ask(action, request, action === "publish" ? publishAnswer : subscribeAnswer);
  }

  async #ask<S extends z.ZodType>(type: HookType, request: AppRequest, schema: S): Promise<z.output<S>> {
    const own = this.#own.get(type);
    try {
      if (own !== undefined) return await this.#call(type, own, request, schema);
      if (this.#deps.client !== undefined) return await this.#deps.client.ask(request, schema);
    } catch (error) {
      throw withReason(type, error);
    }
    throw forbidden(`the app has no ${type} hook`);
  }

  async #call<S extends z.ZodType>(
    type: HookType,
    hook: Hook<unknown>,
    request: AppRequest,
    schema: S,
  ): Promise<z.output<S>> {
    const { promise: timeout, reject } = Promise.withResolvers<never>();
    const cancel = this.#deps.clock.after(this.#options.timeoutMs, () => reject(new GatewayError("timeout")));
    try {
      const answer = await Promise.race([(async () => hook(request))(), timeout]);
      return orFailed(type, () => parseWith(schema, answer, "answer"));
    } finally {
      cancel();
    }
  }

  #textOf(data: unknown): string {
    const text = orFailed("publish", () => {
      checkValue(data);
      return canonicalJson(data);
    });
    if (Buffer.byteLength(text) <= this.#options.payloadBytes) return text;
    throw failed("publish", "app_failed", new Error("the changed data is too large"));
  }
}

/** An invalid answer is a failure of the app, not of the client. */
function orFailed<T>(type: HookType, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw failed(type, "app_failed", error);
  }
}

const forbidden = (detail: string): GatewayError =>
  new GatewayError("forbidden", undefined, { field: "channel", reason: { rule: "hook", detail } });

function refusalOf(type: HookType, { code = defaultCode(type), ...more }: z.output<typeof refusal>): AppRefusal {
  return new AppRefusal({ code, ...more }, `the app's ${type} hook refused with ${code}`);
}

const defaultCode = (type: HookType): string => (type === "connect" ? "unauthorized" : "forbidden");

const retryAfterMs = 1_000;

/** Names the hook for operators. An error of an app that is not a GatewayError is `app_failed`. */
function withReason(type: HookType, error: unknown): GatewayError {
  if (error instanceof GatewayError && error.reason !== undefined) return error;
  if (!(error instanceof GatewayError)) return failed(type, "app_failed", error);
  if (error instanceof AppFault) return new AppFault(error.cause, { reason: whyFailed(type, error.cause) });
  if (isTemporary(error.code)) return failed(type, error.code, error.cause ?? error);
  const { code, message } = error;
  return new AppRefusal(
    { code, message, retryAfterMs: error.retryAfterMs },
    `the app's ${type} hook refused with ${code}`,
  );
}

/** An exception of a hook in this process has a stack that tells where to look; an invalid answer has none. */
function failed(type: HookType, code: ErrorCode, cause: unknown): GatewayError {
  const reason = whyFailed(type, cause);
  if (code === "app_failed" && cause instanceof GatewayError) return new AppFault(cause, { reason });
  return new GatewayError(code, undefined, { retryAfterMs, cause, reason });
}

function whyFailed(type: HookType, cause: unknown): RefusalReason {
  const why = cause instanceof Error ? cause.message : String(cause);
  return { rule: "hook", detail: `the app's ${type} hook failed: ${why}` };
}
