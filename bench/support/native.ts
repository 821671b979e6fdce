import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileAccelerator, hasCompiler } from "../../scripts/compile-accelerator.ts";

/** Compiles a file of `native/`; undefined without a C compiler. */
export function compiled(name: "floor" | "load"): string | undefined {
  if (!hasCompiler()) return undefined;
  const source = fileURLToPath(new URL(`../native/${name}.c`, import.meta.url));
  const program = join(freshFolder(), name);
  const { status } = spawnSync("cc", ["-O2", "-o", program, source], { stdio: "inherit" });
  if (status !== 0) throw new Error(`${name}.c does not compile`);
  return program;
}

/** Compiles the gateway's accelerator. */
export function compiledAccelerator(): string {
  const file = join(freshFolder(), "send-each.node");
  compileAccelerator(file);
  return file;
}

const folders: string[] = [];
process.once("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A temporary folder, removed on exit. */
export function freshFolder(): string {
  const fresh = mkdtempSync(join(tmpdir(), "tidegate-bench-"));
  folders.push(fresh);
  return fresh;
}
