import { defineConfig, type UserConfig } from "tsdown";

/** Builds the packages for browsers and backends: each bundled for `import` and `require`, with its types, and checked. */
const shared: UserConfig = {
  // `import`: every browser of the last three years, and Node 18. `require`: also older bundlers and engines.
  format: { esm: { target: ["es2022"] }, cjs: { target: ["es2019"] } },
  tsconfig: "../tsconfig.packages.json",
  dts: true,
  fixedExtension: true,
  hash: false,
  clean: true,
  report: false,
  logLevel: "warn",
  publint: true,
  attw: { profile: "strict", level: "error" },
};

export default defineConfig([
  {
    ...shared,
    cwd: "client",
    platform: "neutral",
    entry: {
      client: "../src/client/client.ts",
      channels: "../src/client/channels-only.ts",
      react: "../src/client/react.ts",
    },
  },
  { ...shared, cwd: "publisher", platform: "node", entry: { publisher: "../src/publisher/publisher.ts" } },
]);
