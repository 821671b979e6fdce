import type { AppRequest } from "../../src/index.ts";
import { backend, startGateway, type TestGateway } from "../support/gateway.ts";
import { json, secret, startApp, type Forwarded } from "./http-app.ts";
import { hookKinds } from "./support.ts";

export type Answers = Partial<Record<AppRequest["type"], (request: AppRequest) => object>>;

/** A gateway whose app answers its hooks; `answers` may be changed later. */
export async function gatewayWith(answers: Answers, { prefix, app = {} }: { prefix?: string; app?: object } = {}) {
  const served = await startApp(json(({ json: body }) => answers[body.type as AppRequest["type"]]?.(body) ?? {}));
  const file = {
    channels: hookKinds,
    app: { url: served.url, secret, hooks: ["connect", "subscribe", "publish"], ...app },
  };
  const gateway = await startGateway({ file, env, ...(prefix !== undefined && { prefix }) });
  return { gateway, requests: served.requests };
}

export const bodiesOf = (requests: readonly Forwarded[], type: string) =>
  requests.filter(({ json: body }) => body.type === type).map(({ json: body }) => body as Required<AppRequest>);

const operator = "operator-secret-of-at-least-thirty-two-bytes";
export const env = { OPERATORS: `vic:${operator}:viewer` };
export const asOperator = async ({ url }: TestGateway, method: string, path: string, body?: object) =>
  (await backend(url, operator).call(method, `/v1/operator/${path}`, body)).body;
/** Refusals as operators read them. */
export const reasonsOf = async (gateway: TestGateway) =>
  (await asOperator(gateway, "GET", "refusals")).refusals as unknown[];
