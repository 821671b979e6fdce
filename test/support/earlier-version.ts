import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "./source-tree.ts";

/** Sources of a version before this one, with the dependencies of this one. */
export interface EarlierVersion {
  commit: string;
  unpack(): { folder: string; remove(): void };
}

/** How many commits back it is while there is no release. */
const commitsBack = 30;

const git = (...words: string[]): string =>
  execFileSync("git", words, { cwd: repository, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();

/** `EARLIER_VERSION`, the latest release before this commit, or a commit some way back; undefined if git does not know it. */
export function findEarlierVersion(): EarlierVersion | undefined {
  const named = process.env["EARLIER_VERSION"];
  const candidates = [
    () => (named === undefined ? "" : git("rev-parse", "--verify", `${named}^{commit}`)),
    () => git("rev-parse", `${git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^")}^{commit}`),
    () => git("rev-parse", "--verify", `HEAD~${commitsBack}`),
  ];
  const commit = candidates.map(orNothing).find((found) => found !== "");
  return commit === undefined ? undefined : { commit, unpack: () => unpack(commit) };
}

function orNothing(ask: () => string): string {
  try {
    return ask();
  } catch {
    return "";
  }
}

function unpack(commit: string): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-earlier-"));
  const archive = execFileSync("git", ["archive", commit, "src", "package.json"], {
    cwd: repository,
    maxBuffer: 100_000_000,
  });
  execFileSync("tar", ["-x", "-C", folder], { input: archive });
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
