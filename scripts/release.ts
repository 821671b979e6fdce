/**
 * `npm run release -- 1.2.3`: sets the version of all packages, dates the changelog, checks, builds and tests, then commits and
 * tags. Publishing and pushing remain yours; the last lines say how. `--no-test` leaves out the checks.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const [version = "", ...flags] = process.argv.slice(2);
const folders = [".", "client", "publisher"];

if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) fail("Usage: npm run release -- <version>, such as 1.2.3");
if (run("git", "status", "--porcelain") !== "") fail("Commit or discard your changes first.");
if (run("git", "tag", "--list", `v${version}`) !== "") fail(`The tag v${version} exists already.`);

const changelog = readFileSync("CHANGELOG.md", "utf8");
const heading = /^## \S+, unreleased$/m;
if (!heading.test(changelog)) fail("CHANGELOG.md has no heading `## <version>, unreleased`.");

for (const folder of folders) setVersion(`${folder}/package.json`);
setVersion("package-lock.json");
writeFileSync("CHANGELOG.md", changelog.replace(heading, `## ${version}, ${new Date().toISOString().slice(0, 10)}`));

if (!flags.includes("--no-test"))
  for (const script of ["check", "build", "test"]) execFileSync("npm", ["run", script], { stdio: "inherit" });

run("git", "commit", "--all", "--message", `release: ${version}`);
run("git", "tag", `v${version}`);
console.log(`Version ${version} is committed and tagged. To publish it:\n`);
for (const folder of folders) console.log(`  npm publish ./${folder === "." ? "" : folder} --access public`);
console.log("  git push --follow-tags");

/** In a manifest, or in the lock file's two places. Everything else stays as it was written. */
function setVersion(file: string): void {
  const text = readFileSync(file, "utf8");
  const { version: previous } = JSON.parse(text) as { version: string };
  const own = file === "package-lock.json" ? 2 : 1;
  let left = own;
  const next = text.replaceAll(`"version": "${previous}"`, (found) => (left-- > 0 ? `"version": "${version}"` : found));
  writeFileSync(file, next);
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8" }).trim();
}

function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}
