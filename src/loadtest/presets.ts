import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { GatewayError } from "../protocol/errors.ts";
import { parseScenario, type Scenario } from "./scenario.ts";

const folder = fileURLToPath(new URL("scenarios/", import.meta.url));

/** A scenario that cannot be used; the message says which and why. */
export class WrongScenario extends Error {}

/** Names of the scenarios that come with the lab. */
export const presetNames = (): string[] =>
  globSync("*.json", { cwd: folder })
    .map((file) => basename(file, ".json"))
    .toSorted();

/** A preset by its name, or a file by its path, with `overrides` laid over it before it is checked. */
export function readScenario(nameOrPath: string, overrides: object = {}): Scenario {
  const isPreset = presetNames().includes(nameOrPath);
  const path = isPreset ? join(folder, `${nameOrPath}.json`) : nameOrPath;
  try {
    return parseScenario(layOver(parseFile(path, nameOrPath), overrides));
  } catch (error) {
    if (error instanceof GatewayError) throw new WrongScenario(`${nameOrPath}: ${error.message}`);
    throw error;
  }
}

function parseFile(path: string, name: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new WrongScenario(`${name}: invalid JSON: ${error.message}`);
    const names = presetNames().join(", ");
    throw new WrongScenario(`${name}: is neither a file nor a built-in scenario (${names})`);
  }
}

/** What is not named stays as it is; lists are replaced. */
function layOver(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (!isObject(base) || !isObject(over)) return over;
  const names = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...names].map((name) => [name, layOver(base[name], over[name])]));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
