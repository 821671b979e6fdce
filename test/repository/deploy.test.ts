import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DCLinter } from "dclint";
import { validate } from "dockerfile-utils";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { variables } from "../../src/config/variables.ts";
import { warningsOf } from "../../src/config/warnings.ts";
import { repository } from "../support/source-tree.ts";

const read = (path: string): string => readFileSync(join(repository, path), "utf8");
const isThere = (program: string): boolean => spawnSync(program, ["--version"]).status === 0;

/** What .env must bring, in a form production accepts. */
const secrets = {
  JWT_SECRET: "j".repeat(32),
  API_KEYS: `backend:${"k".repeat(32)}`,
  ALLOWED_ORIGINS: "https://app.example",
};

describe("docker-compose.yml", () => {
  test("follows the compose schema", () => {
    const config = JSON.parse(read(".dclintrc")) as object;
    const linter = new DCLinter({ ...config, quiet: false, debug: false, exclude: [] });

    // Its types do not reach a project of ES modules.
    const results = linter.lintFiles([join(repository, "docker-compose.yml")], false) as { messages: object[] }[];

    expect(results.map(({ messages }) => messages)).toEqual([[]]);
  });

  test.skipIf(!isThere("docker-compose"))("is understood by docker-compose", () => {
    const env = { ...process.env, ...secrets };

    const { status, stderr } = spawnSync("docker-compose", ["config", "-q"], {
      cwd: repository,
      env,
      encoding: "utf8",
    });

    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  test("gives its nodes valid settings, with channels and boards", () => {
    const given = [...read("docker-compose.yml").matchAll(/^ {4,6}([A-Z_]{4,}): "?([^"\n]+)"?$/gm)];
    const plain = given.filter(([, , value = ""]) => !value.startsWith("${")).map(([, name, value]) => [name, value]);

    const [, mounted = ""] = /- (\S+):\/etc\/tidegate\/gateway\.json:ro/.exec(read("docker-compose.yml")) ?? [];
    const settings = { ...Object.fromEntries(plain), ...secrets } as Record<string, string>;
    const config = loadConfig(settings, () => read(mounted));

    expect(warningsOf(config)).toEqual([expect.stringContaining("Redis has no password")]);
    expect(config.channels).toHaveProperty("chat");
    expect(config.leaderboards).toHaveProperty("daily");
    expect(config).toMatchObject({
      isProduction: true,
      redis: { topology: "single", url: "redis://redis:6379" },
      metrics: { host: "0.0.0.0", port: 9_090 },
    });
  });
});

test.each(["docker-compose.yml", "deploy/kubernetes/base/gateway.yaml", "deploy/systemd/tidegate@.service"])(
  "%s names a file of channels and boards",
  (path) => {
    expect(read(path)).toMatch(/GATEWAY_CONFIG\W+(value: )?\/etc\/tidegate\/gateway\.json/);
  },
);

test.each(["Dockerfile", "deploy/systemd/tidegate@.service", "package.json"])(
  "%s starts Node with a young generation that does not double the memory of connections",
  (path) => {
    expect(read(path)).toMatch(/node"?,? "?--max-semi-space-size=16"?,? "?(dist|src)\/main/);
  },
);

test("a pod has time for its pause and its drain before it is killed", () => {
  const text = read("deploy/kubernetes/base/gateway.yaml");
  const numberOf = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);

  const pause = numberOf(/\["sleep", "(\d+)"\]/);
  const drain = numberOf(/DRAIN_TIMEOUT_MS\n\s+value: "(\d+)"/) / 1_000;

  expect(numberOf(/terminationGracePeriodSeconds: (\d+)/)).toBeGreaterThan(pause + drain);
});

test("Kubernetes has the example of channels and boards", () => {
  expect(read("deploy/kubernetes/base/gateway.json")).toBe(read("deploy/gateway.json"));
});

const hasKubectl = spawnSync("kubectl", ["version", "--client"]).status === 0;

describe.skipIf(!hasKubectl)("the Kustomize overlays", () => {
  const built = (overlay: string): string => {
    const folder = join(repository, "deploy/kubernetes", overlay);
    const { stdout, stderr, status } = spawnSync("kubectl", ["kustomize", folder], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    return stdout;
  };
  const kinds = (text: string): string[] =>
    [...text.matchAll(/^kind: (\w+)$/gm)].map(([, kind = ""]) => kind).toSorted();
  const base = [
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
  ];

  test.each([
    ["base", base],
    ["gateway-api", [...base, "HTTPRoute"]],
    ["prometheus", [...base, "ServiceMonitor"]],
  ])("%s builds, and everything selects the nodes", (overlay, expected) => {
    const text = built(overlay);

    expect(kinds(text)).toEqual(expected.toSorted());
    // The Deployment and its pods, the Service, the PodDisruptionBudget, the NetworkPolicy and what spreads the pods.
    expect(text.match(/^\s+app: tidegate$/gm)?.length).toBeGreaterThanOrEqual(7);
    expect(text).toMatch(/configMap:\n\s+name: tidegate-\w+/);
  });

  test("prometheus scales by connections", () => {
    expect(built("prometheus")).toMatch(/name: gateway_connections\n\s+target:\n\s+averageValue: "20000"/);
  });
});

test("the image is built for two architectures, with an SBOM, and has the labels of OCI", () => {
  const [bake, dockerfile] = [read("docker-bake.hcl"), read("Dockerfile")];

  expect(bake).toContain('platforms = ["linux/amd64", "linux/arm64"]');
  expect(bake).toMatch(/attest = \[.*"type=sbom"/);
  for (const label of ["title", "description", "licenses"])
    expect(dockerfile).toContain(`org.opencontainers.image.${label}=`);
  for (const label of ["version", "revision"]) expect(bake).toContain(`"org.opencontainers.image.${label}"`);
});

test("the Dockerfile has no statically visible mistake", () => {
  expect(validate(read("Dockerfile"))).toEqual([]);
});

test.skipIf(!isThere("systemd-analyze"))("the systemd unit is one that systemd takes", () => {
  const unit = join(repository, "deploy/systemd/tidegate@.service");

  const { status, stderr } = spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });

  expect(stderr).toBe("");
  expect(status).toBe(0);
});

test.each(["docker-compose.yml", ".env.example", ...globSync("deploy/**/*.{yaml,service}", { cwd: repository })])(
  "%s sets nothing that the gateway does not know",
  (path) => {
    const given = read(path).matchAll(/^\s*(?:- name: |Environment=)?([A-Z]{2,}(?:_[A-Z]+)+)(?::|=|$)/gm);

    const unknown = [...given].map(([, name = ""]) => name).filter((name) => !variables.includes(name));

    expect(unknown).toEqual([]);
  },
);
