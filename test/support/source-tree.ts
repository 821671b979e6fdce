import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's folder, with a slash at its end. */
export const repository = fileURLToPath(new URL("../../", import.meta.url));

export interface SourceFile {
  /** From `src`, with slashes: `channels/kinds.ts`. */
  path: string;
  /** First folder of the path; the file's own name where it stands in `src` itself. */
  room: string;
  text: string;
  imports: Import[];
}

export interface Import {
  /** As written: `../redis/keys.ts`, `node:fs`, `@socket.io/redis-adapter`. */
  specifier: string;
  /** From `src` where it is a file of ours. */
  path: string | undefined;
  /** The package's name where it is a library's. */
  library: string | undefined;
  /** Gone when the program runs. */
  isTypeOnly: boolean;
}

/** Every TypeScript file below `src`. */
export function readSources(): SourceFile[] {
  const root = join(repository, "src");
  return globSync("**/*.ts", { cwd: root })
    .map((file) => file.replaceAll("\\", "/"))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, room: path.split("/")[0] ?? path, text, imports: importsOf(path, text) };
    });
}

/** Statements that begin a line, so that text in comments and strings is no import; and `import(…)` with a plain text. */
const statement = /^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm;
const dynamic = /\bimport\("([^"]+)"\)/g;

export function importsOf(path: string, text: string): Import[] {
  const found = [...text.matchAll(statement)].map(([, type, specifier = ""]) => ({
    specifier,
    isTypeOnly: type !== undefined,
  }));
  const later = [...text.matchAll(dynamic)].map(([, specifier = ""]) => ({ specifier, isTypeOnly: false }));
  return [...found, ...later].map((one) => ({
    ...one,
    path: one.specifier.startsWith(".") ? normalize(join(dirname(path), one.specifier)) : undefined,
    library: one.specifier.startsWith(".") ? undefined : packageOf(one.specifier),
  }));
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
}

/** The first cycle of imports, as the paths along it. */
export function findCycle(files: readonly SourceFile[]): string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();

  function follow(path: string, trail: readonly string[]): string[] | undefined {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const { path: next } of byPath.get(path)?.imports ?? []) {
      const cycle = next === undefined ? undefined : follow(next, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    done.add(path);
    return undefined;
  }

  for (const { path } of files) {
    const cycle = follow(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
