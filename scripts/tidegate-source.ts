/** Lets the examples of this checkout import `tidegate` without building it, and its other entries. */
import { registerHooks } from "node:module";

const sources: Readonly<Record<string, string>> = {
  tidegate: "../src/index.ts",
  "tidegate/contract": "../src/protocol/contract.ts",
  "tidegate/testing": "../src/testing/testing.ts",
};

registerHooks({
  resolve(specifier, context, next) {
    const source = sources[specifier];
    return next(source === undefined ? specifier : new URL(source, import.meta.url).href, context);
  },
});
