import { spawnSync } from "node:child_process";
import { renameSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../native/send-each.c", import.meta.url));
const headers = join(dirname(createRequire(import.meta.url).resolve("node-api-headers")), "include");
const compiler = process.env["CC"] ?? "cc";
const platformFlags = process.platform === "darwin" ? ["-undefined", "dynamic_lookup"] : [];

/** Whether there is a C compiler with the system's headers. */
export function hasCompiler(): boolean {
  const { status } = spawnSync(compiler, ["-fsyntax-only", "-x", "c", "-"], { input: "#include <sys/socket.h>\n" });
  return status === 0;
}

/** Compiles the accelerator to `file`, atomically. Throws if that fails. */
export function compileAccelerator(file: string): void {
  const unfinished = `${file}.${process.pid}`;
  const flags = ["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", ...platformFlags, `-I${headers}`];
  const { status } = spawnSync(compiler, [...flags, "-o", unfinished, source], { stdio: "inherit" });
  if (status !== 0) throw new Error(`${source} does not compile`);
  renameSync(unfinished, file);
}
