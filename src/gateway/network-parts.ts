import type { AppAccess } from "./app.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import type { Authentication } from "./authentication.ts";
import type { CommandIngress } from "../commands/command-ingress.ts";
import type { ConnectionRegistry } from "../connections/connections.ts";
import type { Contract } from "../protocol/contract/contract.ts";
import type { ContractChecks } from "../protocol/contract/contract-checks.ts";
import type { CoreServices } from "./core-services.ts";
import type { ExpiryWatch } from "../auth/expiry-watch.ts";
import type { NodeOperator } from "./operator.ts";
import type { NodeRevocations } from "../connections/revocations.ts";
import type { NodeRights } from "../connections/node-rights.ts";
import type { Readiness } from "../http/readiness.ts";
import type { Revocations } from "../auth/revocations.ts";
import type { Server } from "node:http";
import type { Throttling } from "../throttling/throttling.ts";
import type { UserDataService } from "../commands/user-data.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import type { WorkerContext } from "./worker-context.ts";

/** What the servers of a node are made of. */
export interface NetworkParts {
  authentication: Authentication;
  expiry: ExpiryWatch;
  throttling: Throttling;
  revocations: Revocations;
  nodeRevocations: NodeRevocations;
  nodeRights: NodeRights;
  connections: ConnectionRegistry;
  services: CoreServices;
  readiness: Readiness;
  operator: NodeOperator;
  ingress: CommandIngress;
  userData: UserDataService;
  webhooks: Webhooks | undefined;
  worker: WorkerContext | undefined;
  isDraining: () => boolean;
  /** Omit if only the built-in events exist. */
  app: AppEvents | undefined;
  contract: Contract | undefined;
  /** Checks events for the app. Omit if there is no contract. */
  checks: ContractChecks | undefined;
  access: AppAccess;
  /** A server of an application to attach to. */
  server: Server | undefined;
}
