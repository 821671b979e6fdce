import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { GatewayError } from "../protocol/errors.ts";
import { parseScenario, type Scenario } from "./scenario.ts";

const folder = fileURLToPath(new URL("scenarios/", import.meta.url));

/** An invalid scenario; the message has its name and the reason. */
export class InvalidScenario extends Error {}

/** Names of the built-in scenarios. */
export const presetNames = (): string[] =>
  globSync("*.json", { cwd: folder })
    .map((file) => basename(file, ".json"))
    .toSorted();

/** Reads a preset by name or a file by path, and applies `overrides` before validation. */
export function readScenario(nameOrPath: string, overrides: object = {}): Scenario {
  const isPreset = presetNames().includes(nameOrPath);
  const path = isPreset ? join(folder, `${nameOrPath}.json`) : nameOrPath;
  try {
    return parseScenario(deepMerge(parseFile(path, nameOrPath), overrides));
  } catch (error) {
    if (error instanceof GatewayError) throw new InvalidScenario(`${nameOrPath}: ${error.message}`);
    throw error;
  }
}

function parseFile(path: string, name: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new InvalidScenario(`${name}: invalid JSON: ${error.message}`);
    const names = presetNames().join(", ");
    throw new InvalidScenario(`${name}: is neither a file nor a built-in scenario (${names})`);
  }
}

/** Values of `over` win; lists are replaced as a whole. */
function deepMerge(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (!isObject(base) || !isObject(over)) return over;
  const names = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...names].map((name) => [name, deepMerge(base[name], over[name])]));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
