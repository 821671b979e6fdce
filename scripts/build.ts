/** Builds the published package: compiled sources in dist, with the files that are read at run time. */
import { execFileSync } from "node:child_process";
import { cpSync, globSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("..", import.meta.url));
const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");

rmSync(join(repository, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: repository, stdio: "inherit" });

const beside = globSync("src/**/*.{lua,html,css,js,json,svg}", { cwd: repository });
for (const file of beside) cpSync(join(repository, file), join(repository, file.replace(/^src/, "dist")));
