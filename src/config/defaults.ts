/** What holds where the JSON file is silent and the default is more than a number. */

/** A road that most shops and couriers can start from. A status without a way on ends the order. */
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
  },
  // A board for the demo: every score is points on top, and users may bring their own.
  leaderboards: { "*": {}, race: { mode: "increment", clientWrites: true } },
};
