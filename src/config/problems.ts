/** One mistake in the configuration, by the name of the variable or the path in the JSON file. */
export interface Problem {
  /** `JWT_SECRET`, `channels.chat.history.size`. */
  name: string;
  /** Says what is wrong. Never holds a secret's value. */
  message: string;
}

/** Exit code of a configuration that cannot be used: EX_CONFIG of sysexits.h. */
export const configExitCode = 78;

/** All mistakes of a configuration at once. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(["The configuration cannot be used:", ...problems.map(asLine)].join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const asLine = ({ name, message }: Problem): string => `  ${name}: ${message}`;
