/** Private words that a room of the code has not renamed yet. Entries may only be removed. */
export const notYetRenamed: Record<string, readonly string[]> = {
  "src/config": ["most…"],
  "src/orders": ["most…"],
};

/** Names that more than one file of `src` declares as a type. Entries may only be removed. */
export const sharedTypeNames: readonly string[] = [
  "ApiKey",
  "Authenticate",
  "Bridge",
  "Fields",
  "IncomingEvent",
  "Listener",
  "MessageLimitResult",
  "Neighbourhood",
  "Position",
  "Problem",
  "Publication",
  "PublicationSender",
  "PublishOptions",
  "RankedEntry",
  "RateLimitResult",
  "Refusal",
  "RefusalReason",
  "Sessions",
  "TokenOptions",
  "Transport",
  "Write",
];
