export { createGateway, type GatewayOptions, type Publication, type Publish, type Gateway } from "./embedding.ts";
export { GatewayError, type ErrorCode } from "./protocol/errors.ts";
export type { EventContext } from "./app/app-events.ts";
export type { AppUser } from "./connections/connection.ts";
export type { StandardSchema } from "./app/standard-schema.ts";
