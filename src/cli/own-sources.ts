import { registerHooks } from "node:module";

/** Entries of the package, as files beside this one's folder. */
const entries: Readonly<Record<string, string>> = {
  tidegate: "../index.ts",
  "tidegate/contract": "../protocol/contract/contract.ts",
  "tidegate/testing": "../testing/testing.ts",
};

/**
 * In a checkout, where nothing may have been built, files of the user import `tidegate` and its other entries from the
 * sources that are running. An installed package resolves them by itself.
 */
if (import.meta.url.endsWith(".ts"))
  registerHooks({
    resolve(specifier, context, next) {
      const entry = entries[specifier];
      return next(entry === undefined ? specifier : new URL(entry, import.meta.url).href, context);
    },
  });
