import { loadConfig } from "../../src/config.ts";
import { ConfigError, type Problem } from "../../src/config/problems.ts";

/** What `loadConfig` complains of; empty where it is content. `files` stands for the disk. */
export function problemsOf(
  env: Record<string, string | undefined>,
  files: Record<string, string> = {},
): readonly Problem[] {
  try {
    loadConfig(env, readFrom(files));
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

export const namesOf = (problems: readonly Problem[]): string[] => problems.map(({ name }) => name);

/** A disk with these files and no others. */
export const readFrom =
  (files: Record<string, string>) =>
  (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
