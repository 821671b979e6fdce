/** Structured defaults of the JSON file. */

/** A typical order workflow. A status without transitions ends the order. */
export const defaultTransitions: Record<string, string[]> = {
  created: ["confirmed", "cancelled"],
  confirmed: ["preparing", "shipped", "cancelled"],
  preparing: ["ready", "cancelled"],
  ready: ["picked_up", "cancelled"],
  picked_up: ["delivered", "failed"],
  shipped: ["delivered", "failed"],
  delivered: [],
  failed: [],
  cancelled: [],
};

/** The pub/sub channels that backends of this trade already speak. */
export const defaultBridges = [
  { pattern: "order:status", command: "order.event" as const },
  {
    pattern: "order:new",
    channel: ["orders:{parties.*}", "orders:{userId}", "staff:orders"],
    event: "order.new",
  },
  { pattern: "product:low-stock", channel: "staff:stock", event: "product.low-stock" },
];

/** Outside production: enough to try everything without a file. */
export const developmentFile = {
  channels: {
    chat: { subscribe: "public", publish: "public", presence: true },
    news: { subscribe: "public", publish: "none" },
    board: { subscribe: "public", publish: "public", presence: true, state: true },
    answer: { subscribe: "public", merge: "append" },
  },
  // The demo's leaderboard adds up scores, which users may submit themselves.
  leaderboards: { "*": {}, race: { mode: "increment", clientWrites: true } },
};
