export { createGateway, type GatewayOptions, type Publication, type Publish, type Gateway } from "./embedding.ts";
export {
  defineContract,
  type ChannelContract,
  type Contract,
  type EventContract,
  type OpenContract,
} from "./protocol/contract/contract.ts";
export { GatewayError, type ErrorCode } from "./protocol/errors.ts";
export type { EventContext } from "./app/app-events.ts";
export type { AppRequest } from "./app/app-request.ts";
export type { ConnectHookAnswer, Hook, HookRegistry, PublishHookAnswer, SubscribeHookAnswer } from "./app/hooks.ts";
export type { AppUser } from "./connections/connection.ts";
export type { StandardSchema } from "./protocol/contract/standard-schema.ts";
