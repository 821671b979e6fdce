import type { Plan } from "../plan.ts";
import { createGatewayPublications } from "./gateway-publications.ts";
import { createOrders } from "./orders.ts";
import { createPlainPublications } from "./plain-publications.ts";
import { createScores } from "./scores.ts";
import type { Workload } from "./workload.ts";

/** Creates the scenario's workload; undefined if it publishes nothing. */
export function createWorkload(plan: Plan): Workload | undefined {
  const { load } = plan.scenario;
  switch (load.type) {
    case "none":
      return undefined;
    case "publications":
      return plan.target === "plain"
        ? createPlainPublications(plan, load.bytes)
        : createGatewayPublications(plan, load.bytes);
    case "orders":
      return createOrders(plan);
    case "scores":
      return createScores(plan, load.members);
  }
}
