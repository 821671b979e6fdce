/** Compiles the optional accelerator to the path where the gateway looks for it, and loads it once to check it. */
import { createRequire } from "node:module";
import { acceleratorFile } from "../src/engine/accelerator.ts";
import { compileAccelerator, hasCompiler } from "./compile-accelerator.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (process.platform === "win32") refuse("There is no accelerator for Windows.");
else if (!hasCompiler()) refuse("There is no C compiler (Debian: apt-get install gcc libc6-dev).");
else accelerate();

function accelerate(): void {
  compileAccelerator(acceleratorFile);
  createRequire(import.meta.url)(acceleratorFile);
  say(`Compiled ${acceleratorFile}. The gateway uses it from its next start; ACCELERATOR=off starts it without.`);
}

function refuse(reason: string): void {
  say(`${reason} The gateway runs as well without it; fan-out costs it about a sixth more.`);
  process.exitCode = 1;
}
