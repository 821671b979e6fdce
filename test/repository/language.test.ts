import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/source-tree.ts";

const maxGlossaryEntries = 40;

/** Words that only this project used, for what has a usual name: the one in the glossary of docs/design.md. */
const privateWords =
  "annoyance|attendance|canary|census|crew|enroll|entrants?|farewells?|graves?|haunt|house|lanes?|let in|" +
  "looked after|looks|outlet|referee|seats?|songs?|stamps?|standings?|strangers?|telling|visits?|volleys?|who floods|wish";
const privateWord = new RegExp(`\\b(?:${privateWords})\\b`, "i");

const filesAt = (pattern: string): string[] => globSync(pattern, { cwd: repository }).toSorted();
const read = (path: string): string => readFileSync(join(repository, path), "utf8");

/** A page without its code: identifiers are not prose. */
const proseOf = (page: string): string[] =>
  read(page)
    .replaceAll(/^```.*?^```$/gms, "")
    .replaceAll(/`[^`]+`/g, "")
    .split("\n");

/** Texts of several words in quotes, as error messages and log lines are; comments are left out. */
function messagesOf(path: string): string[] {
  const comment = path.endsWith(".lua") ? /--[^\n]*/ : /\/\*[^]*?\*\/|\/\/[^\n]*/;
  const text = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/;
  const tokens = read(path).match(new RegExp(`${comment.source}|${text.source}`, "g")) ?? [];
  const texts = tokens.filter((token) => /^["'`]/.test(token)).map((token) => token.replaceAll(/\$\{[^}]*\}/g, "…"));
  return texts.filter((token) => /\w \w/.test(token));
}

const withPrivateWords = (files: string[], textsOf: (file: string) => string[]): string[] =>
  files.flatMap((file) =>
    textsOf(file)
      .filter((text) => privateWord.test(text))
      .map((text) => `${file}: ${text}`),
  );

test("the glossary is short", () => {
  const [, glossary = ""] = read("docs/design.md").split(/^## Glossary$/m);
  const [, , ...entries] = glossary.split("\n").filter((line) => line.startsWith("|"));

  expect(entries.length).toBeGreaterThan(20);
  expect(entries.length).toBeLessThanOrEqual(maxGlossaryEntries);
});

test("docs use the field's words", () => {
  const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ...filesAt("docs/*.md")];

  expect(withPrivateWords(pages, proseOf)).toEqual([]);
});

test("error messages and log lines use the field's words", () => {
  const sources = filesAt("src/**/*.{ts,lua}");

  expect(sources.flatMap(messagesOf)).toContain('"pub/sub probe lost; reconnecting the subscriber"');
  expect(withPrivateWords(sources, messagesOf)).toEqual([]);
});
