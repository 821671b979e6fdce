/** One mistake in the configuration, by the name of the variable or the path in the JSON file. */
export interface Problem {
  /** `JWT_SECRET`, `channels.chat.history.size`. */
  name: string;
  /** The problem. Never contains a secret. */
  message: string;
}

/** All mistakes of a configuration at once. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(["Invalid configuration:", ...problems.map(asLine)].join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const asLine = ({ name, message }: Problem): string => `  ${name}: ${message}`;
