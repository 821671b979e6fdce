import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { loadConfig, mostWorkers } from "../config.ts";
import { maskSecrets } from "../config/masking.ts";
import { ConfigError } from "../config/problems.ts";
import { warningsOf } from "../config/warnings.ts";
import { version } from "../runtime/version.ts";
import { mintToken, publish, RefusedCall, type PublishOptions, type TokenOptions } from "./backend-calls.ts";
import {
  letterKinds,
  listDeadLetters,
  removeDeadLetters,
  replayDeadLetters,
  type LettersOptions,
  type ListOptions,
} from "./dead-letters.ts";
import { exitCodes, type Host } from "./host.ts";
import { addLoadtest } from "./loadtest-command.ts";

const exitCodeHelp = `
Exit codes:
  ${exitCodes.fine}   fine
  ${exitCodes.failed}   failed, drained past the deadline, or missed a threshold of a load test
  ${exitCodes.usage}  the command line was not understood
  ${exitCodes.config}  the configuration cannot be used; every mistake is named
  ${exitCodes.interrupted} a load test was interrupted; its report is written

Settings come from the environment: see docs/settings.md.`;

/** Runs one command and resolves with the exit code of the process. */
export async function runCommandLine(words: readonly string[], host: Host): Promise<number> {
  let code: number = exitCodes.fine;
  const program = createProgram(host, (done) => (code = done));
  try {
    await program.parseAsync(words.length === 0 ? ["start"] : words, { from: "user" });
    return code;
  } catch (error) {
    return explain(error, host);
  }
}

function explain(error: unknown, host: Host): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
  if (error instanceof ConfigError) {
    host.complain(error.message);
    return exitCodes.config;
  }
  host.complain(error instanceof RefusedCall ? error.message : `tidegate: ${messageOf(error)}`);
  return exitCodes.failed;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function createProgram(host: Host, finish: (code: number) => void): Command {
  const program = new Command("tidegate")
    .description("A horizontally scaled real-time gateway for Socket.IO clients.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.print(text.trimEnd()),
      writeErr: (text) => host.complain(text.trimEnd()),
    })
    .addHelpText("after", exitCodeHelp);
  addStart(program, host, finish);
  addToken(program, host);
  addPublish(program, host);
  addLoadtest(program, host, finish);
  addDeadLetters(program, host);
  addConfig(program, host);
  return program;
}

function addStart(program: Command, host: Host, finish: (code: number) => void): void {
  program
    .command("start")
    .description("run one gateway node until SIGTERM or SIGINT (what happens without a command)")
    .option(
      "--workers <count>",
      "so many nodes behind the port, or `auto`: one for each core (default: WORKERS or 1)",
      workers,
    )
    .action(async (options: { workers?: string }) => {
      // Loaded only here: the other commands need no server, and answer at once without it.
      const { start } = await import("./start.ts");
      finish(await start(host, options));
    });
}

function addToken(program: Command, host: Host): void {
  addTarget(program.command("token <user>"))
    .description("log a user in at a running gateway and print the token")
    .option("--role <role...>", "roles of the session")
    .option("--ttl <seconds>", "life of the session", wholeNumber)
    .option("--json", "print the whole answer")
    .action(async (user: string, options: TokenOptions) => host.print(await mintToken(host.env, user, options)));
}

function addPublish(program: Command, host: Host): void {
  addTarget(program.command("publish <channel> <event> <json>"))
    .description("publish into a channel of a running gateway")
    .option("--idempotency-key <key>", "a repeat with the same key is not published again")
    .action(async (channel: string, event: string, json: string, options: PublishOptions) =>
      host.print(await publish(host.env, { channel, event, json }, options)),
    );
}

function addDeadLetters(program: Command, host: Host): void {
  const letters = program
    .command("dead-letters")
    .description("what could not be done for backends, and why (uses REDIS_URL and KEY_PREFIX)");
  letters
    .command("list", { isDefault: true })
    .addOption(whose())
    .description("print the oldest, with the reason")
    .option("--after <id>", "those behind this one")
    .option("--limit <count>", "at most so many (default: 100)", wholeNumber)
    .option("--json", "print them as JSON")
    .action(async (options: ListOptions) => host.print(await listDeadLetters(host.env, options)));
  letters
    .command("replay [ids...]")
    .description("hand them in again, and take them out")
    .addOption(whose())
    .option("--all", "all there are")
    .action(async (ids: string[], options: LettersOptions & { all?: boolean }, command: Command) => {
      if ((options.all === true) === ids.length > 0) command.error("error: name letters, or say --all");
      host.print(await replayDeadLetters(host.env, ids, options));
    });
  letters
    .command("remove <ids...>")
    .description("throw them away")
    .addOption(whose())
    .action(async (ids: string[], options: LettersOptions) =>
      host.print(await removeDeadLetters(host.env, ids, options)),
    );
}

const whose = (): Option =>
  new Option("--of <what>", "commands of the stream, or webhooks").choices(letterKinds).default("commands");

function addTarget(command: Command): Command {
  return command
    .option("--url <url>", "address of the gateway (default: this machine, port PORT or 3000)")
    .option("--key <secret>", "API key (default: the first of API_KEYS, else the development key)");
}

function addConfig(program: Command, host: Host): void {
  program
    .command("config")
    .description("check the configuration and print what holds, secrets masked")
    .action(() => {
      const config = loadConfig(host.env);
      host.print(JSON.stringify(maskSecrets(config), null, 2));
      for (const warning of warningsOf(config, host.env)) host.complain(`warning: ${warning}`);
    });
}

function workers(text: string): string {
  if (text === "auto" || (/^[1-9]\d{0,2}$/.test(text) && Number(text) <= mostWorkers)) return text;
  throw new InvalidArgumentError(`must be 1 to ${mostWorkers}, or auto.`);
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a whole number above 0.");
}
