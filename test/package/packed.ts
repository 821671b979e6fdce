import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { repository } from "../support/source-tree.ts";

const run = promisify(execFile);

/** What a machine reaches its registry by, and nothing else: no setting of ours. The Node that runs the tests comes first. */
export function environment(): NodeJS.ProcessEnv {
  const needed = /^(HOME|NODE_EXTRA_CA_CERTS|(https?|no)_proxy|npm_config_(registry|cafile|cache|userconfig))$/i;
  const kept = Object.entries(process.env).filter(([name]) => needed.test(name));
  return { ...Object.fromEntries(kept), PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}` };
}

/** As `npm pack` does it, on a copy named `tidegate`: what lies in this checkout stays as it is. */
export async function pack(folder: string): Promise<void> {
  const copy = join(folder, "tidegate");
  mkdirSync(copy);
  const { stdout } = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repository,
  });
  const needed = /^(src|scripts|client|client-demo|console|docs|examples|native|publisher)\/|^[^/]+$/;
  for (const file of stdout.split("\0").filter((path) => needed.test(path)))
    cpSync(join(repository, file), join(copy, file), { recursive: true });
  symlinkSync(join(repository, "node_modules"), join(copy, "node_modules"));
  await run("npm", ["pack", "--pack-destination", "..", ".", "./client", "./publisher"], {
    cwd: copy,
    env: environment(),
  });
  const { version } = JSON.parse(readFileSync(join(copy, "package.json"), "utf8")) as { version: string };
  for (const name of ["tidegate", "tidegate-client", "tidegate-publisher"])
    cpSync(join(folder, `${name}-${version}.tgz`), join(folder, `${name}.tgz`));
}
