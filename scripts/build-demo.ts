/**
 * Builds the pages, the demo and the operator console, each into its folder `dist`, if that is missing or its sources
 * changed. Several processes may run this in one checkout (as several `npm start` do): each builds into its own folder
 * and moves it into place.
 */
import { createHash, randomUUID } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("..", import.meta.url));
/** File in `dist` with the digest of the sources; a dot file, so that it is not served. */
const digestFile = ".sources";

for (const page of ["client-demo", "console"]) await buildPage(page);

async function buildPage(page: string): Promise<void> {
  const folder = join(repository, page);
  const dist = join(folder, "dist");
  const sources = digestOfSources(page);
  if ((await builtFrom(dist)) === sources) return;
  const vite = await import("vite").catch(() => undefined);
  if (vite === undefined) return say(`${page} is not built: vite is missing (npm ci without --omit=dev brings it).`);

  say(`Building ${page} …`);
  const fresh = join(folder, `.build-${randomUUID()}`);
  try {
    await vite.build({ root: folder, logLevel: "warn", build: { outDir: fresh, emptyOutDir: true } });
    await writeFile(join(fresh, digestFile), sources);
    await moveIntoPlace(fresh, { folder, dist, sources });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Digest of everything that a page is built from: its files, the client's, the protocol's, and the lockfile. */
function digestOfSources(page: string): string {
  const patterns = [`${page}/**/*.*`, "src/client/**/*.ts", "src/protocol/**/*.ts", "package-lock.json"];
  const files = globSync(patterns, { cwd: repository, exclude: isMade, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const digest = createHash("sha256");
  for (const file of files.toSorted()) digest.update(file.slice(repository.length)).update(readFileSync(file));
  return digest.digest("hex");
}

function isMade({ name }: { name: string }): boolean {
  return name === "dist" || name.startsWith(".build-");
}

function builtFrom(folder: string): Promise<string | undefined> {
  return readFile(join(folder, digestFile), "utf8").catch(() => undefined);
}

/** A folder cannot replace another in one step, so the old one is moved away first. A second process finds it done. */
async function moveIntoPlace(
  fresh: string,
  { folder, dist, sources }: { folder: string; dist: string; sources: string },
): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    try {
      return await rename(fresh, dist);
    } catch (error) {
      if ((await builtFrom(dist)) === sources) return;
      if (tries === 9) throw error;
      await putAside(folder, dist);
    }
  }
}

async function putAside(folder: string, dist: string): Promise<void> {
  const aside = join(folder, `.build-${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  // Another process may have moved it at the same moment.
  await rename(dist, aside).catch(() => undefined);
  await rm(aside, { recursive: true, force: true });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
