import { variableDescriptions, type VariableDescription } from "./variables.ts";

/** Settings by their paths: `limits.http.requests`. Lists are one setting. */
export function flatten(value: object, prefix = ""): Record<string, unknown> {
  const entries = Object.entries(value).flatMap(([name, item]): [string, unknown][] => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const isBranch = typeof item === "object" && item !== null && !Array.isArray(item);
    return isBranch && Object.keys(item as object).length > 0
      ? Object.entries(flatten(item as object, path))
      : [[path, item]];
  });
  return Object.fromEntries(entries);
}

/** What was set, and where; everything else has its default. */
export interface SettingSources {
  /** Variables. */
  readonly environment: readonly string[];
  /** Settings by their paths. */
  readonly file: readonly string[];
}

export type SettingSource = { source: "default" | "file" } | { source: "environment"; variables: string[] };

const isWithin = (name: string, group: string): boolean => name === group || name.startsWith(`${group}.`);

/** Where a setting has its value from. */
export function sourceOf(name: string, { environment, file }: SettingSources): SettingSource {
  const all: Readonly<Record<string, VariableDescription>> = variableDescriptions;
  const variables = environment.filter((variable) => {
    const setting = all[variable]?.setting;
    return setting !== undefined && isWithin(name, setting);
  });
  if (variables.length > 0) return { source: "environment", variables };
  return { source: file.some((path) => isWithin(name, path)) ? "file" : "default" };
}
