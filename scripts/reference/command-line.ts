import type { Argument, Command, Option } from "commander";
import { createProgram } from "../../src/cli/command-line.ts";
import { exitCodeMeanings, exitCodes } from "../../src/cli/host.ts";
import { code, table } from "./table.ts";

const ignore = (): void => undefined;
const nobody = {
  env: {},
  isTerminal: false,
  print: ignore,
  printError: ignore,
  onSignal: ignore,
  onOutputClosed: ignore,
  onStrayError: ignore,
  exit: ignore,
};

export const exitCodeTable = (): string =>
  table(
    ["code", "meaning"],
    Object.entries(exitCodeMeanings).map(([name, meaning]) => [
      String(exitCodes[name as keyof typeof exitCodes]),
      meaning,
    ]),
  );

/** Every command with its arguments and options, from the program that parses them. */
export function commandLine(): string {
  const program = createProgram(nobody, ignore);
  return program.commands.map((command) => sectionOf(command, "tidegate", 2)).join("\n\n");
}

function sectionOf(command: Command, parent: string, depth: number): string {
  const name = `${parent} ${command.name()}`;
  const rows = [...command.registeredArguments.map(argumentRow), ...command.options.map(optionRow)];
  return [
    `${"#".repeat(depth)} ${name}`,
    sentence(command.description()),
    `\`\`\`\n${name} ${command.usage()}\n\`\`\``,
    ...(rows.length === 0 ? [] : [table(["", "meaning", "default"], rows)]),
    ...command.commands.map((inner) => sectionOf(inner, name, depth + 1)),
  ].join("\n\n");
}

const argumentRow = (argument: Argument): string[] => [
  code(argument.required ? `<${argument.name()}>` : `[${argument.name()}]`),
  argument.description,
  "",
];

const optionRow = ({ flags, description, defaultValue, argChoices }: Option): string[] => [
  code(flags),
  sentence(argChoices === undefined ? description : `${description}: ${argChoices.join(", ")}`),
  defaultValue === undefined || typeof defaultValue === "object" ? "" : code(String(defaultValue)),
];

/** Placeholders would be HTML. */
const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, ".").replaceAll(/<[\w ]+>/g, code);
