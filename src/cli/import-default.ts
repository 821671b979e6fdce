import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import "./own-sources.ts";

/** The default export of a module of the user. `file` is relative to the working directory. */
export async function importDefault(file: string): Promise<unknown> {
  const module = (await import(pathToFileURL(resolve(file)).href)) as { default?: unknown };
  return module.default;
}
