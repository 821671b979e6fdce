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
  { pattern: "order:status", channel: "order:{orderId}", event: "order.status" },
  { pattern: "order:new", channel: "orders:{userId}", event: "order.new" },
  { pattern: "product:low-stock", channel: "product:{productId}", event: "product.low-stock" },
];

/** The kind that the default bridges need beside the built-in ones; stock levels are not for everybody. */
export const bridgedKinds = { product: { subscribe: "granted", publish: "none" } } as const;

/** Outside production: enough to try everything without a file. */
export const developmentFile = {
  channels: {
    chat: { subscribe: "public", publish: "public", presence: true },
    news: { subscribe: "public", publish: "none" },
  },
  // A board for the demo: every score is points on top, and users may bring their own.
  leaderboards: { "*": {}, race: { mode: "increment", clientWrites: true } },
};
