/** Private words that a room of the code has not renamed yet. Entries may only be removed. */
export const notYetRenamed: Record<string, readonly string[]> = {};

/** Names that more than one file of `src` declares as a type. Entries may only be removed. */
export const sharedTypeNames: readonly string[] = [];
