import { didYouMean } from "./suggestion.ts";
import type { Problem } from "./problems.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ReadFile = (path: string) => string;

export interface IntegerRule {
  min: number;
  max: number;
}

/**
 * Reads variables one by one and collects problems. An empty variable counts as unset, because Compose files produce
 * empty ones for missing values.
 */
export interface EnvironmentReader {
  /** The variable's text without surrounding blanks. */
  text(name: string): string | undefined;
  /** Comma-separated parts, trimmed, without empty ones; undefined if the variable is unset. */
  list(name: string): string[] | undefined;
  /** A whole number within the rule; otherwise a problem and undefined. */
  integer(name: string, rule: IntegerRule): number | undefined;
  /** One of a few words; otherwise a problem and undefined. */
  oneOf<const T extends string>(name: string, words: readonly T[]): T | undefined;
  /** Content of the file that the variable names; if it cannot be read, a problem and undefined. */
  file(name: string, path: string, readFile: ReadFile): string | undefined;
  problem(name: string, message: string): void;
}

export function createEnvironmentReader(env: Environment, problems: Problem[]): EnvironmentReader {
  const text = (name: string): string | undefined => env[name]?.trim() || undefined;
  const problem = (name: string, message: string): void => void problems.push({ name, message });

  return {
    text,
    problem,
    list: (name) =>
      text(name)
        ?.split(",")
        .map((part) => part.trim())
        .filter((part) => part !== ""),
    integer(name, { min, max }) {
      const value = text(name);
      if (value === undefined) return undefined;
      const number = /^-?\d+$/.test(value) ? Number(value) : NaN;
      if (number >= min && number <= max) return number;
      problem(name, `must be a whole number from ${min} to ${max}, not ${quoted(value)}`);
      return undefined;
    },
    oneOf(name, words) {
      const value = text(name);
      const word = words.find((known) => known === value);
      if (value !== undefined && word === undefined) {
        problem(name, `must be one of ${words.join(", ")}, not ${quoted(value)}${didYouMean(value, words)}`);
      }
      return word;
    },
    file(name, path, readFile) {
      // Not shown, because it may be a private key.
      if (/[\r\n]|-----BEGIN/.test(path)) {
        problem(name, "must be the path of a file, not its content");
        return undefined;
      }
      try {
        return readFile(path);
      } catch (error) {
        problem(name, `${quoted(path)} cannot be read (${reasonOf(error)})`);
        return undefined;
      }
    },
  };
}

/** A value as a message shows it: one line, not too long. */
export const quoted = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);

/** The error's code, such as ENOENT. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "unreadable";
}
