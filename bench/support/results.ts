import { mkdirSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Prints a result and stores it in `bench/results`, with its date and its command. */
export function writeResult(name: string, text: string): void {
  const file = fileURLToPath(new URL(`../results/${name}.md`, import.meta.url));
  const command = ["node", relative(process.cwd(), process.argv[1] as string), ...process.argv.slice(2)].join(" ");
  const dated = `${text}\n\n${new Date().toISOString().slice(0, 10)}, \`${command}\`\n`;
  mkdirSync(fileURLToPath(new URL("../results/", import.meta.url)), { recursive: true });
  writeFileSync(file, dated);
  process.stdout.write(dated);
}

/** A Markdown table. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}
