import { loadConfig } from "../../src/config.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { configSchema, settingsIn, type Setting } from "../../src/config/config-schema.ts";
import { descriptionOf } from "../../src/config/setting-descriptions.ts";
import { variableDescriptions, type VariableDescription } from "../../src/config/variables.ts";
import { typeText, type JsonSchema } from "./schema-text.ts";
import { code, table } from "./table.ts";

const settings = settingsIn(configSchema());

/** The sections of the file that have settings of their own. */
export const settingSections: readonly string[] = [
  ...new Set(settings.map(({ path }) => path.replace(/\W.*/, ""))),
].filter((section) => section !== "");

/** Settings that all limits have are in a table of their own. */
const ofLimits = /^limits\..+\.(?:shadow|whenStoreIsAway|portion\.\w+)$/;

export const settingTable = (section: string): string =>
  table(
    ["setting", "value", "default", "meaning"],
    settings.filter((setting) => isIn(section, setting) && !ofLimits.test(setting.path)).map((setting) => row(setting)),
  );

export const limitTable = (): string =>
  table(
    ["setting", "value", "default", "meaning"],
    settings
      .filter(({ path }) => path.startsWith("limits.messages.") && ofLimits.test(path))
      .map((setting) => row(setting, setting.path.replace("limits.messages.", ""))),
  );

/** What contains other settings is described only if there is something to say. */
const isIn = (section: string, { path }: Setting): boolean =>
  new RegExp(`^${section}\\W`).test(path) && descriptionOf(path) !== undefined;

const row = ({ path, schema, isRequired }: Setting, name = path): string[] => [
  code(name),
  typeText(schema as JsonSchema),
  schema.default === undefined ? (isRequired ? "required" : "") : defaultText(schema.default),
  descriptionOf(path) ?? "",
];

const maxDefaultLength = 60;

function defaultText(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > maxDefaultLength ? "as described" : code(text);
}

export const variableTable = (): string =>
  table(
    ["variable", "default", "must be", "meaning"],
    Object.entries<VariableDescription>(variableDescriptions).map(([name, described]) => [
      code(name) + (described.isRequiredInProduction === true ? " †" : ""),
      described.default,
      ruleOf(name) ?? "",
      described.meaning,
    ]),
  );

/** What the gateway accepts, in the words of the error for a value that it does not accept. */
function ruleOf(name: string): string | undefined {
  try {
    loadConfig({ [name]: "?" });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const message = error.problems.find((problem) => problem.name === name)?.message;
    return /^must be (.*?)(?:, not "\?".*)?$/s.exec(message ?? "")?.[1];
  }
  return undefined;
}
