import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { environment } from "../package/packed.ts";
import { repository } from "../support/source-tree.ts";

/** What Kubernetes, the Gateway API and the Prometheus operator take, as types, and a reader of YAML. */
const packages = [
  "kubernetes-models@5.1.0",
  "@kubernetes-models/gateway-api@2.0.0",
  "@kubernetes-models/prometheus-operator@6.0.0",
  "yaml@2.9.1",
];

interface Manifest {
  apiVersion: string;
  kind: string;
}

const isLong = process.env["SCHEMAS"] === "all";
const run = promisify(execFile);
let folder = "";

/** `npm run test:deploy` fetches the types. */
describe.skipIf(!isLong)("the Kubernetes manifests", () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidegate-manifests-"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const install = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", ...packages];
    await run("npm", install, { cwd: folder, env: environment() });
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(["base", "gateway-api", "prometheus"])("of %s have only fields that their kinds have", async (overlay) => {
    expect(await mistakesIn(built(overlay))).toBe("");
  });

  test("would not pass with a misspelled field, or with a value of another type", async () => {
    const wrong = built("base")
      .replace("readinessProbe:", "readinesProbe:")
      .replace("minReplicas: 3", "minReplicas: three");

    const mistakes = await mistakesIn(wrong);

    expect(mistakes).toContain("'\"readinesProbe\"' does not exist in type 'IContainer'");
    expect(mistakes).toContain("Type 'string' is not assignable to type 'number'");
  });
});

function built(overlay: string): string {
  const { stdout, stderr } = spawnSync("kubectl", ["kustomize", join(repository, "deploy/kubernetes", overlay)], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return stdout;
}

/** What the compiler says of the manifests as objects of their kinds' types. */
async function mistakesIn(text: string): Promise<string> {
  const yaml = createRequire(join(folder, "package.json"))("yaml") as {
    parseAllDocuments(text: string): { toJS(): Manifest }[];
  };
  const manifests = yaml.parseAllDocuments(text).map((document) => document.toJS());
  writeFileSync(join(folder, "manifests.ts"), manifests.map(typed).join("\n"));
  const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--pretty", "false"];
  return run(process.execPath, [tsc, ...options, "manifests.ts"], { cwd: folder }).then(
    ({ stdout }) => stdout,
    ({ stdout }: { stdout: string }) => stdout,
  );
}

function typed(manifest: Manifest, index: number): string {
  const { apiVersion, kind } = manifest;
  return `import type { I${kind} as Kind${index} } from "${packageOf(apiVersion)}/${apiVersion}";
export const manifest${index}: Kind${index} = ${JSON.stringify(manifest, undefined, 2)};`;
}

function packageOf(apiVersion: string): string {
  if (apiVersion.startsWith("gateway.networking.k8s.io/")) return "@kubernetes-models/gateway-api";
  return apiVersion.startsWith("monitoring.coreos.com/")
    ? "@kubernetes-models/prometheus-operator"
    : "kubernetes-models";
}
