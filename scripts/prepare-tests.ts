/**
 * Installs what the tests need besides Node: redis-server, nginx, chromium, promtool, python3-socketio, PHP and a C
 * compiler, with apt if possible. Otherwise it prints what is missing and what is therefore not tested.
 */
import { spawnSync, type SpawnSyncOptions } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { needs, type Need } from "./needs.ts";

const missing = Object.values(needs).filter((need) => !need.isInstalled());
if (missing.length > 0 && canInstall()) install(missing.flatMap(({ debianPackage }) => debianPackage.split(" ")));
for (const need of Object.values(needs)) if (!need.isInstalled()) printMissing(need);

function canInstall(): boolean {
  return process.getuid?.() === 0 && spawnSync("apt-get", ["--version"]).status === 0;
}

function install(packages: readonly string[]): void {
  process.stderr.write(`Installing what the tests need: ${packages.join(", ")} …\n`);
  withoutServices(() => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const options: SpawnSyncOptions = { env, stdio: ["ignore", "ignore", "inherit"] };
    spawnSync("apt-get", ["update", "-qq"], options);
    spawnSync("apt-get", ["install", "-qq", "--no-install-recommends", ...packages], options);
  });
}

/** Debian starts what it installs; the tests start their own, on ports of their own. */
function withoutServices(act: () => void): void {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return act();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    act();
  } finally {
    rmSync(policy, { force: true });
  }
}

function printMissing({ name, debianPackage, skipped }: Need): void {
  const line = "!".repeat(72);
  process.stderr.write(
    `${line}\n${name} IS MISSING: ${skipped}\nInstall it (Debian: apt-get install ${debianPackage}).\n${line}\n`,
  );
}
