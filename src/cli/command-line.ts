import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { loadConfig, maxWorkers } from "../config.ts";
import { maskSecrets } from "../config/masking.ts";
import { ConfigError } from "../config/problems.ts";
import { warningsOf } from "../config/warnings.ts";
import { ListenError } from "../runtime/listen-error.ts";
import { version } from "../runtime/version.ts";
import {
  mintToken,
  publish,
  CallError,
  CommandLineError,
  type PublishOptions,
  type TokenOptions,
} from "./backend-calls.ts";
import {
  deadLetterKinds,
  listDeadLetters,
  removeDeadLetters,
  replayDeadLetters,
  type DeadLetterOptions,
  type ListOptions,
} from "./dead-letters.ts";
import type { DoctorOptions } from "./doctor.ts";
import { exitCodeMeanings, exitCodes, type Host } from "./host.ts";
import type { StartOptions } from "./start.ts";
import { addLoadtest } from "./loadtest-command.ts";
import { trace, type TraceOptions } from "./trace.ts";

const exitCodeLines = Object.entries(exitCodeMeanings).map(
  ([name, meaning]) => `  ${String(exitCodes[name as keyof typeof exitCodes]).padEnd(3)} ${meaning}`,
);
const exitCodeHelp = `
Exit codes:
${exitCodeLines.join("\n")}

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
  // Commander has already printed the error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
  if (error instanceof ConfigError) {
    host.printError(error.message);
    return exitCodes.config;
  }
  if (error instanceof CommandLineError) {
    host.printError(`error: ${error.message}`);
    return exitCodes.usage;
  }
  host.printError(error instanceof CallError ? error.message : `tidegate: ${messageOf(error)}`);
  return exitCodes.failed;
}

function messageOf(error: unknown): string {
  if (error instanceof ListenError) return [error.message, ...listenHint(error)].join(": ");
  return error instanceof Error ? error.message : String(error);
}

function listenHint({ code, setting }: ListenError): string[] {
  const host = setting.replace("PORT", "HOST");
  if (code === "EADDRINUSE") return [`another process listens there; set ${setting} to another port, or end it`];
  if (code === "EACCES") return [`this user may not listen on that port; set ${setting} to one from 1024`];
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return [`no address of this machine; see ${host}`];
  return [];
}

/** The commands; `npm run reference` describes them from it. */
export function createProgram(host: Host, finish: (code: number) => void): Command {
  const program = new Command("tidegate")
    .description("A horizontally scaled real-time gateway for Socket.IO clients.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.print(text.trimEnd()),
      writeErr: (text) => host.printError(text.trimEnd()),
    })
    .addHelpText("after", exitCodeHelp);
  addStart(program, host, finish);
  addToken(program, host);
  addPublish(program, host);
  addLoadtest(program, host, finish);
  addDeadLetters(program, host);
  addConfig(program, host);
  addContract(program, host, finish);
  addDoctor(program, host, finish);
  addTrace(program, host);
  return program;
}

function addStart(program: Command, host: Host, finish: (code: number) => void): void {
  program
    .command("start")
    .description("run one gateway node until SIGTERM or SIGINT (the default command)")
    .option(
      "--workers <count>",
      "number of worker processes sharing the port, or `auto` for one per core (default: WORKERS or 1)",
      workers,
    )
    .option("--app <file>", "module whose default export is called with the gateway (default: APP_FILE)")
    .option("--contract <file>", "module whose default export is a contract to check against (default: CONTRACT_FILE)")
    .action(async (options: StartOptions) => {
      // Loaded only here: the other commands need no server, and answer at once without it.
      const { start } = await import("./start.ts");
      finish(await start(host, options));
    });
}

function addToken(program: Command, host: Host): void {
  addTarget(program.command("token").argument("<user>", "id of the user who signs in; with --check a token"))
    .description("create a session on a running gateway and print its token; with --check, say why a token is refused")
    .option(
      "--check",
      "<user> is a token: check it with the settings of the environment, and with REDIS_URL its session",
    )
    .option("--role <role...>", "roles of the session")
    .option("--ttl <seconds>", "lifetime of the session", wholeNumber)
    .option("--json", "print the whole response")
    .action(async (user: string, { check, ...options }: TokenOptions & { check?: true }) => {
      if (check === undefined) return host.print(await mintToken(host.env, user, options));
      const { checkToken } = await import("./check-token.ts");
      const { text, isAccepted } = await checkToken(host.env, user);
      if (!isAccepted) throw new CallError(text);
      host.print(text);
    });
}

function addPublish(program: Command, host: Host): void {
  addTarget(program.command("publish"))
    .description("publish to a channel on a running gateway")
    .argument("<channel>", "full name of the channel")
    .argument("<event>", "event name")
    .argument("<json>", "data of the publication, as JSON")
    .option("--idempotency-key <key>", "a retry with the same key is not published twice")
    .action(async (channel: string, event: string, json: string, options: PublishOptions) =>
      host.print(await publish(host.env, { channel, event, json }, options)),
    );
}

function addDeadLetters(program: Command, host: Host): void {
  const letters = program
    .command("dead-letters")
    .description("inspect and replay dead letters (uses REDIS_URL and KEY_PREFIX)");
  letters
    .command("list", { isDefault: true })
    .addOption(whose())
    .description("list dead letters, oldest first, with their reasons")
    .option("--after <id>", "start after this id")
    .option("--limit <count>", "maximum number to list (default: 100)", wholeNumber)
    .option("--json", "print them as JSON")
    .action(async (options: ListOptions) => host.print(await listDeadLetters(host.env, options)));
  letters
    .command("replay")
    .description("process dead letters again and remove them")
    .argument("[ids...]", "ids of dead letters")
    .addOption(whose())
    .option("--all", "every dead letter")
    .action(async (ids: string[], options: DeadLetterOptions & { all?: boolean }, command: Command) => {
      if ((options.all === true) === ids.length > 0) command.error("error: give the ids to replay, or --all");
      host.print(await replayDeadLetters(host.env, ids, options));
    });
  letters
    .command("remove")
    .description("delete dead letters")
    .argument("<ids...>", "ids of dead letters")
    .addOption(whose())
    .action(async (ids: string[], options: DeadLetterOptions) =>
      host.print(await removeDeadLetters(host.env, ids, options)),
    );
}

const whose = (): Option =>
  new Option("--of <what>", "stream commands, or webhooks").choices(deadLetterKinds).default("commands");

function addTarget(command: Command): Command {
  return command
    .option("--url <url>", "URL of the gateway (default: localhost, port PORT or 3000)")
    .option("--key <secret>", "API key (default: the first in API_KEYS, or the development key)");
}

function addContract(program: Command, host: Host, finish: (code: number) => void): void {
  const contract = program
    .command("contract")
    .description(
      "compare and print contracts; a file is a module with a contract as its default export, or printed JSON",
    );
  const load = async (file: string, command: Command) =>
    (await import("./contract.ts"))
      .loadContract(file)
      .catch((error: Error) => command.error(`error: ${error.message}`));
  contract
    .command("check")
    .description("list breaking changes, one line each; exit code 1 if there are any")
    .argument("<old>", "file of the contract that clients were built with")
    .argument("<new>", "file of the contract to change to")
    .action(async (old: string, now: string, _options: object, command: Command) => {
      const { compareContracts } = await import("./contract.ts");
      const { breaking, unknown } = compareContracts(await load(old, command), await load(now, command));
      for (const line of unknown) host.printError(line);
      host.print(breaking.length === 0 ? "No breaking changes." : breaking.join("\n"));
      finish(breaking.length === 0 ? exitCodes.fine : exitCodes.failed);
    });
  contract
    .command("print")
    .description("print a contract as JSON, with its schemas as JSON Schema, to keep and compare later")
    .argument("<file>", "file of the contract")
    .action(async (file: string, _options: object, command: Command) =>
      host.print(JSON.stringify(await load(file, command), null, 2)),
    );
}

function addDoctor(program: Command, host: Host, finish: (code: number) => void): void {
  addTarget(program.command("doctor"))
    .description("check a deployment from outside, through its proxy, and say what to do")
    .option("--operator <secret>", "operator secret, to check all nodes and Redis")
    .option("--origin <origin>", "origin of your pages, to check that they may connect")
    .action(async (options: DoctorOptions) => {
      // Loaded only here, because it needs the client library.
      const { describe, diagnose } = await import("./doctor.ts");
      const diagnoses = await diagnose(host.env, options);
      host.print(describe(diagnoses));
      finish(diagnoses.some(({ result }) => result === "failed") ? exitCodes.failed : exitCodes.fine);
    });
}

function addTrace(program: Command, host: Host): void {
  program
    .command("trace")
    .description("print what happens to one user, connection or channel on all nodes, until it ends or Ctrl-C")
    .option("--user <id>", "everything about this user")
    .option("--connection <id>", "everything about this connection")
    .option("--channel <name>", "everything in this channel")
    .option("--seconds <count>", "duration (default and maximum: 600)", wholeNumber)
    .option("--url <url>", "URL of the gateway, or of its console (default: localhost, port PORT or 3000)")
    .option("--operator <secret>", "secret of an operator with the role admin (default: the first in OPERATORS)")
    .option("--json", "one JSON object per line")
    .action((options: TraceOptions) => trace(host, options));
}

function addConfig(program: Command, host: Host): void {
  program
    .command("config")
    .description("validate the configuration and print the effective settings with secrets masked")
    .option("--schema", "print the JSON Schema of the configuration file instead")
    .action(async ({ schema }: { schema?: true }) => {
      if (schema === true) {
        const { configSchema } = await import("../config/config-schema.ts");
        return host.print(JSON.stringify(configSchema(), null, 2));
      }
      const config = loadConfig(host.env);
      host.print(JSON.stringify(maskSecrets(config), null, 2));
      for (const warning of warningsOf(config, host.env)) host.printError(`warning: ${warning}`);
    });
}

function workers(text: string): string {
  if (text === "auto" || (/^[1-9]\d{0,2}$/.test(text) && Number(text) <= maxWorkers)) return text;
  throw new InvalidArgumentError(`must be from 1 to ${maxWorkers}, or auto.`);
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a whole number greater than 0.");
}
