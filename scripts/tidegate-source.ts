/** Lets the examples of this checkout import `tidegate` without building it. */
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    return next(specifier === "tidegate" ? new URL("../src/index.ts", import.meta.url).href : specifier, context);
  },
});
