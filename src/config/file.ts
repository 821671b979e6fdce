import type { GatewayError } from "../protocol/errors.ts";
import { checkValue } from "../protocol/gate.ts";
import { inWords } from "../protocol/issue-words.ts";
import { findRepeatedName } from "../protocol/json-text.ts";
import { builtInKinds, kindOf } from "../protocol/names.ts";
import { defaultBridges, developmentFile } from "./defaults.ts";
import { quoted, type EnvironmentReader, type ReadFile } from "./environment.ts";
import { configFile, type ParsedFile } from "./file-schema.ts";
import { pathOf, problemsOf } from "./file-problems.ts";
import { flatten } from "./sources.ts";
import { didYouMean } from "./suggestion.ts";

/** Settings of the JSON file including defaults. */
export type FileConfig = { readonly [K in keyof Omit<ParsedFile, "app" | "$schema">]-?: NonNullable<ParsedFile[K]> } & {
  /** Where events of an app are forwarded to; undefined if they are not. */
  readonly app?: ParsedFile["app"];
};

const variable = "GATEWAY_CONFIG";

/** Reads and validates the file named by GATEWAY_CONFIG; undefined if it is invalid. */
export function readConfigFile(
  env: EnvironmentReader,
  readFile: ReadFile,
  isProduction: boolean,
): (FileConfig & { given: string[] }) | undefined {
  const json = readJson(env, readFile);
  if (json === undefined) return undefined;
  const result = configFile.safeParse(json, { reportInput: true, error: inWords });
  for (const { name, message } of problemsOf(result.error, configFile)) env.problem(name, message);
  if (!result.success) return undefined;
  const { $schema: _ofEditors, ...file } = result.data;
  const config = {
    ...withDefaults(file, isProduction),
    given: Object.keys(flatten(json as object)).filter((path) => path !== "$schema"),
  };
  config.bridges.forEach((bridge, index) => checkBridge(env, bridge, index, config.channels));
  return config;
}

/** The file's JSON; `{}` without a file, undefined after a problem. */
function readJson(env: EnvironmentReader, readFile: ReadFile): unknown {
  const path = env.text(variable);
  if (path === undefined) return {};
  const text = env.file(variable, path, readFile);
  if (text === undefined) return undefined;
  if (text.includes("\u0000")) {
    env.problem(variable, `${quoted(path)} is not valid UTF-8`);
    return undefined;
  }
  const json = plainJson(text);
  try {
    const value: unknown = JSON.parse(json);
    const repeated = findRepeatedName(json);
    if (repeated !== undefined) env.problem(pathOf(repeated), "is listed twice");
    return repeated === undefined && isAcceptable(env, value) ? value : undefined;
  } catch (error) {
    // V8 quotes the invalid text, which may contain a secret, so only the position is reported.
    const [, place = ""] = /(\(line \d+ column \d+\))/.exec(String(error)) ?? [];
    env.problem(variable, `${quoted(path)} is not JSON ${place}`.trimEnd());
    return undefined;
  }
}

/** `__proto__` would be left out in silence. */
function isAcceptable(env: EnvironmentReader, value: unknown): boolean {
  try {
    checkValue(value, { maxDepth: Infinity, maxKeys: Infinity });
    return true;
  } catch (error) {
    const { field = variable, message } = error as GatewayError;
    env.problem(field, message.replace(`${field}: `, ""));
    return false;
  }
}

/**
 * Without what editors put into files of this kind and JSON does not know: a byte order mark, comments, and a comma behind
 * the last entry. Spaces stand in for them, so that the places of mistakes stay as they are.
 */
function plainJson(text: string): string {
  const blank = (found: string): string => (found.startsWith('"') ? found : found.replaceAll(/[^\r\n]/g, " "));
  return text
    .replace(/^\ufeff/, "")
    .replaceAll(/"(?:[^"\\]|\\.)*"|\/\/.*|\/\*[^]*?\*\//g, blank)
    .replaceAll(/"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])/g, blank);
}

function withDefaults(file: ParsedFile, isProduction: boolean): FileConfig {
  const silent = isProduction ? undefined : configFile.parse(developmentFile);
  const channels = file.channels ?? silent?.channels ?? {};
  return {
    ...file,
    channels,
    leaderboards: file.leaderboards ?? silent?.leaderboards ?? {},
    bridges: file.bridges ?? defaultBridges,
  };
}

/** A bridge into an unconfigured kind would drop every message. */
function checkBridge(
  env: EnvironmentReader,
  bridge: FileConfig["bridges"][number],
  index: number,
  channels: FileConfig["channels"],
): void {
  const kinds = [...builtInKinds, "staff", ...Object.keys(channels)];
  const missing = [bridge.channel ?? []]
    .flat()
    .map(kindOf)
    .find((kind) => !kinds.includes(kind));
  if (missing === undefined) return;
  const hint = didYouMean(missing, kinds);
  env.problem(`bridges[${index}].channel`, `no channel kind ${quoted(missing)} is configured${hint}`);
}
