import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { configFile } from "../../src/config/file-schema.ts";
import { developmentApiKey } from "../../src/config/credentials.ts";
import { warningsOf } from "../../src/config/warnings.ts";
import { parseScenario } from "../../src/loadtest/scenario.ts";
import { startGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

interface Block {
  page: string;
  language: string;
  text: string;
}

/** `docs/first-hour.md` is followed step by step by `test/package/installs.test.ts`. */
const guides = globSync("docs/*.md", { cwd: repository }).filter((page) => !page.endsWith("first-hour.md"));
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...guides.toSorted()];
const blocks = pages.flatMap(blocksOf);
const run = promisify(execFile);

/** What works on the checkout itself, which a test must leave as it is; `.ci/run` runs most of these. */
const isAboutTheCheckout = ({ text }: Block): boolean =>
  /^\s*(npm|npx|docker|cp|[A-Z_]+=\S+ npm|[A-Z_=0-9 ]+npx)\b/m.test(text);

const inLanguage = (...languages: string[]): Block[] => blocks.filter(({ language }) => languages.includes(language));
const pagesOf = (some: readonly Block[]): string[] => [...new Set(some.map(({ page }) => page))];
const textOf = (page: string, some: readonly Block[]): string =>
  some
    .filter((block) => block.page === page)
    .map(({ text }) => text)
    .join("\n");

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(repository, page), "utf8");
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", body = ""]) => ({
    page,
    language,
    text: body,
  }));
}

/** Pages whose code needs the settings that they show first; all others run with those of development. */
const pagesWithSettings: readonly string[] = ["docs/notifications.md"];

function settingsOf(page: string): object | undefined {
  const [first] = inLanguage("json").filter((block) => block.page === page);
  return pagesWithSettings.includes(page) && first !== undefined ? (JSON.parse(first.text) as object) : undefined;
}

/** The gateway that somebody who reads the docs has started; what the docs call it is replaced by where it is. */
async function startDocumentedGateway(page: string) {
  const file = settingsOf(page);
  const env = { API_KEYS: `development:${developmentApiKey.secret}` };
  const gateway = await startGateway({ env, ...(file && { file }) });
  const { host } = new URL(gateway.url);
  const here = (text: string): string =>
    text
      .replaceAll(/https:\/\/(realtime|gateway)\.example/g, gateway.url)
      .replaceAll("localhost:3000", host)
      .replaceAll("listen(3000)", "listen(0)");
  return { ...gateway, here };
}

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-docs-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A page's code as a program of its own. `more` comes after it. */
function start(page: string, more: string, { url, here }: Awaited<ReturnType<typeof startDocumentedGateway>>) {
  const program = join(freshFolder(), "page.mts");
  writeFileSync(program, `${here(textOf(page, code))}\n${more}\n`);
  const preamble = join(repository, "test", "support", "docs-preamble.js");
  const env = { DOCS_URL: url, DOCS_KEY: developmentApiKey.secret, DOCS_REDIS: inject("redisUrl"), DOCS_PAGE: page };
  const child = spawn(process.execPath, ["--import", preamble, program], { env });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk) => (said.out += String(chunk)));
  child.stderr.on("data", (chunk) => (said.err += String(chunk)));
  const ended = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { said, ended };
}

async function runShell(page: string, here: (text: string) => string): Promise<string> {
  const HOME = freshFolder();
  writeFileSync(join(HOME, ".curlrc"), "silent\nshow-error\nfail-with-body\n");
  const env = { PATH: process.env["PATH"], HOME };
  const { stderr } = await run("sh", ["-euc", here(textOf(page, calls))], { env });
  return stderr;
}

const code = inLanguage("js", "ts");
const lines = inLanguage("sh");
const calls = lines.filter((block) => !isAboutTheCheckout(block));

describe("code in the docs", () => {
  test.each(pagesOf(code))("of %s runs as it is written, its blocks one after the other", async (page) => {
    const { said, ended } = start(page, "process.exit(0);", await startDocumentedGateway(page));

    expect((await ended)[0]).toBe(0);
    expect(said.err).toBe("");
  });

  test("of the README refuses a client without a name for good", async () => {
    const more = `
      const nameless = io(gateway.url, { auth: { name: "" }, forceNew: true, transports: ["websocket"] });
      nameless.on("connect_error", ({ message }) => console.log("refused:", message, nameless.active));
    `;
    const { said } = start("README.md", more, await startDocumentedGateway("README.md"));

    await eventually(() => expect(said.out).toContain("refused: name_required false"), 60_000);
  });

  test("of the README prints what its shell commands publish", async () => {
    const gateway = await startDocumentedGateway("README.md");
    const { said } = start("README.md", 'console.log("subscribed");', gateway);
    await eventually(() => expect(said.out).toContain("subscribed"), 60_000);

    await runShell("README.md", gateway.here);

    await eventually(() => expect(said.out).toMatch(/^news:today 1 headline /m));
    await eventually(() => expect(said.out).toMatch(/^headline /m));
  });
});

describe("shell commands", () => {
  test.each(pagesOf(calls))("of %s run as they are written", async (page) => {
    const { here } = await startDocumentedGateway(page);

    expect(await runShell(page, here)).toBe("");
  });

  test.each(lines.filter(isAboutTheCheckout))("of $page name what there is: $text", async ({ text }) => {
    const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { scripts: object };
    const named = [...text.matchAll(/\bnpm (?:run )?([\w:]+)/g)].map(([, name = ""]) => name);
    const files = [...text.matchAll(/\bnode ((?:src|scripts|bench)\/\S+)/g)].map(([, file = ""]) => file);

    await run("sh", ["-n", "-c", text]);

    expect(named.filter((name) => !["ci", "prune"].includes(name) && !(name in scripts))).toEqual([]);
    expect(files.filter((file) => !existsSync(join(repository, file)))).toEqual([]);
    // The shell's own Node may be one that runs no TypeScript.
    expect(text).not.toMatch(/^(?!.*\bnpx node)\s*node \S+\.ts/m);
  });

  test("that start the gateway in production set everything required", async () => {
    const settings = [...readFileSync(join(repository, "README.md"), "utf8").matchAll(/^export .*$/gm)].join("\n");

    const { stdout } = await run("sh", ["-euc", `${settings}\nenv -0`], { env: { PATH: process.env["PATH"] } });
    const env = Object.fromEntries(
      stdout
        .split("\0")
        .filter((line) => line.includes("="))
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );

    expect(warningsOf(loadConfig(env, (path) => readFileSync(join(repository, path), "utf8")))).toEqual([]);
  });
});

describe("JSON in the docs", () => {
  test.each(inLanguage("json", "jsonc"))("of $page is what it says: $text", ({ page, text }) => {
    const values = valuesOf(text);

    for (const value of values) {
      if (Object.keys(value).every((key) => key in configFile.shape)) {
        const file = JSON.stringify(value);
        // A part of a file may name what stands elsewhere in it.
        if (text.startsWith('"')) configFile.parse(value);
        else loadConfig({ GATEWAY_CONFIG: "gateway.json" }, () => file);
      }
      if (page === "docs/loadtest.md") parseScenario(value);
    }
    expect(values.length).toBeGreaterThan(0);
  });
});

/** JSON with comments and trailing commas, of which one block may hold several. */
function valuesOf(text: string): object[] {
  const bare = text.replaceAll(/(^|\s)\/\/.*$/gm, "$1").trim();
  const whole = bare.startsWith('"') ? `{${bare}}` : bare.replaceAll(/\}\s*\{/g, "},{");
  return runInNewContext(`[${whole}]`) as object[];
}

test("the docs have code of every kind", () => {
  for (const language of ["js", "ts", "sh", "json", "jsonc"])
    expect(blocks.filter((block) => block.language === language).length).toBeGreaterThan(1);
  expect(dirname(pages.at(-1) ?? "")).toBe("docs");
});
