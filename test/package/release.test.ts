import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { repository } from "../support/source-tree.ts";

const manifests = ["package.json", "client/package.json", "publisher/package.json"];

function checkout() {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-release-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const file of [...manifests, "package-lock.json", "CHANGELOG.md"])
    cpSync(join(repository, file), join(folder, file), { recursive: true });
  const git = (...args: string[]): string => execFileSync("git", args, { cwd: folder, encoding: "utf8" }).trim();
  git("init", "--quiet");
  git("config", "user.name", "Ada");
  git("config", "user.email", "ada@example.org");
  git("add", ".");
  git("commit", "--quiet", "--message", "before");
  const release = (...args: string[]) =>
    spawnSync(process.execPath, [join(repository, "scripts/release.ts"), ...args], { cwd: folder, encoding: "utf8" });
  const read = (file: string): string => readFileSync(join(folder, file), "utf8");
  return { folder, git, release, read };
}

test("a release sets every version, dates the changelog, commits and tags", () => {
  const { git, release, read } = checkout();
  const lockBefore = JSON.parse(read("package-lock.json")) as { packages: Record<string, { version: string }> };

  const { status, stdout } = release("9.8.7", "--no-test");

  expect(status).toBe(0);
  for (const file of manifests) expect(JSON.parse(read(file))).toMatchObject({ version: "9.8.7" });
  const lock = JSON.parse(read("package-lock.json")) as typeof lockBefore;
  expect(lock).toEqual({
    ...lockBefore,
    version: "9.8.7",
    packages: { ...lockBefore.packages, "": { ...lockBefore.packages[""], version: "9.8.7" } },
  });
  expect(read("CHANGELOG.md")).toMatch(/^## 9\.8\.7, \d{4}-\d\d-\d\d$/m);
  expect(git("tag")).toBe("v9.8.7");
  expect(git("status", "--porcelain")).toBe("");
  expect(stdout).toContain("npm publish ./client --access public");
});

test("a release is refused with a wrong version or with uncommitted changes", () => {
  const { folder, git, release } = checkout();

  expect(release("next")).toMatchObject({ status: 1, stderr: expect.stringContaining("Usage") });
  writeFileSync(join(folder, "CHANGELOG.md"), "changed");
  expect(release("9.8.7")).toMatchObject({ status: 1, stderr: expect.stringContaining("Commit or discard") });
  expect(git("tag")).toBe("");
});
