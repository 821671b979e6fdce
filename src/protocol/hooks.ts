/** What an app can be asked before it happens. */
export const hookTypes = ["connect", "subscribe", "publish"] as const;
export type HookType = (typeof hookTypes)[number];
