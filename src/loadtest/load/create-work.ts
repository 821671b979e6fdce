import type { Plan } from "../plan.ts";
import { createGatewayPublications } from "./gateway-publications.ts";
import { createOrders } from "./orders.ts";
import { createPlainPublications } from "./plain-publications.ts";
import { createScores } from "./scores.ts";
import type { Work } from "./work.ts";

/** What the scenario publishes; undefined where that is nothing. */
export function createWork(plan: Plan): Work | undefined {
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
