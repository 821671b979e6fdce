import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { repository } from "../support/source-tree.ts";
import { sharedTypeNames } from "./language-exceptions.ts";

const maxGlossaryEntries = 40;

/** Words that only this project used, for what has a usual name: the one in the glossary of docs/design.md. */
const privateWords =
  "annoyance|attendance|canary|census|crew|enroll|entrants?|farewells?|graves?|haunt|house|lanes?|let in|" +
  "looked after|outlets?|referee|seats?|songs?|stamps?|standings?|strangers?|telling|visits?|volleys?|who floods|wish";
const privateWord = new RegExp(`\\b(?:${privateWords})\\b`, "i");
const privateWordInMessage = new RegExp(`\\b(?:${privateWords}|looks)\\b`, "i");

/** The same within identifiers and file names, where some more are never anything else. */
const privateName = new RegExp(
  `^(?:${privateWords}|bury|complain|complaint|desk|glimpse|gun|mirror|owed|reckoning|road|shot|siblings?|surrender|told|unsaid)$`,
);

const filesAt = (...patterns: string[]): string[] => globSync(patterns, { cwd: repository }).toSorted();
const read = (path: string): string => readFileSync(join(repository, path), "utf8");
const code = filesAt("{src,client-demo/src,console/src,bench,scripts}/**/*.{ts,tsx,lua}");

/** A page without its code: identifiers are not prose. */
const proseOf = (page: string): string[] =>
  read(page)
    .replaceAll(/^```.*?^```$/gms, "")
    .replaceAll(/`[^`]+`/g, "")
    .split("\n");

interface Tokens {
  comments: string[];
  texts: string[];
  names: string[];
}

/** A template literal counts as a text; names within its placeholders are not looked up. */
function tokensOf(path: string): Tokens {
  const comment = path.endsWith(".lua") ? /--[^\n]*/ : /\/\*[^]*?\*\/|\/\/[^\n]*/;
  const text = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/;
  const tokens = read(path).match(new RegExp(`${comment.source}|${text.source}|[A-Za-z_$][\\w$]*`, "g")) ?? [];
  const kindOf = (token: string): keyof Tokens =>
    /^(?:--|\/)/.test(token) ? "comments" : /^["'`]/.test(token) ? "texts" : "names";
  const { comments = [], texts = [], names = [] } = Object.groupBy(tokens, kindOf);
  return { comments, texts, names };
}

/** Texts of several words in quotes, as error messages and log lines are. */
const messagesOf = (path: string): string[] =>
  tokensOf(path)
    .texts.map((text) => text.replaceAll(/\$\{[^}]*\}/g, "…"))
    .filter((text) => /\w \w/.test(text));

/** The private words in a name: "createCrew" contains "crew", "mostBytes" is "max" in the field's words. */
function privateWordsIn(name: string): string[] {
  const words = (name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []).map((word) => word.toLowerCase());
  return [...words.filter((word) => privateName.test(word)), ...(/^most[A-Z]/.test(name) ? ["most…"] : [])];
}

const withWords = (files: string[], word: RegExp, textsOf: (file: string) => string[]): string[] =>
  files.flatMap((file) =>
    textsOf(file)
      .filter((text) => word.test(text))
      .map((text) => `${file}: ${text}`),
  );

test("the glossary is short", () => {
  const [, glossary = ""] = read("docs/design.md").split(/^## Glossary$/m);
  const [, , ...entries] = glossary.split("\n").filter((line) => line.startsWith("|"));

  expect(entries.length).toBeGreaterThan(20);
  expect(entries.length).toBeLessThanOrEqual(maxGlossaryEntries);
});

test("docs use the field's words", () => {
  const pages = filesAt("{README,CONTRIBUTING,SECURITY,CHANGELOG}.md", "docs/*.md");

  expect(withWords(pages, privateWordInMessage, proseOf)).toEqual([]);
});

test("error messages and log lines use the field's words", () => {
  const sources = filesAt("src/**/*.{ts,lua}");

  expect(sources.flatMap(messagesOf)).toContain('"pub/sub probe lost; reconnecting the subscriber"');
  expect(withWords(sources, privateWordInMessage, messagesOf)).toEqual([]);
});

describe("the code uses the field's words", () => {
  test("in comments", () => {
    const found = code.flatMap((path) =>
      tokensOf(path).comments.flatMap((comment) => {
        const [word] = privateWord.exec(comment) ?? [];
        return word === undefined ? [] : [`${path}: ${word} in ${comment}`];
      }),
    );

    expect(found).toEqual([]);
  });

  test("in identifiers and file names", () => {
    const found = code.flatMap((path) =>
      [basename(path), ...new Set(tokensOf(path).names)].flatMap((name) =>
        privateWordsIn(name).map((word) => `${path}: ${word} in ${name}`),
      ),
    );

    expect(found).toEqual([]);
  });

  test("where they are hidden in names", () => {
    expect(["createCrew", "SEATS", "lane-store.ts", "mostBytes", "toldAt"].flatMap(privateWordsIn)).toEqual([
      "crew",
      "seats",
      "lane",
      "most…",
      "told",
    ]);
    expect(["housekeeping", "utmostBytes", "standalone", "planes"].flatMap(privateWordsIn)).toEqual([]);
  });
});

test("a type name has one meaning in src, except for the listed ones", () => {
  const declared = filesAt("src/**/*.ts").flatMap((path) =>
    [...read(path).matchAll(/^(?:export )?(?:abstract )?(?:interface|type|class) (\w+)/gm)].map(([, name = ""]) => ({
      name,
      path,
    })),
  );
  const byName = Map.groupBy(declared, ({ name }) => name);
  const shared = [...byName]
    .filter(([, places]) => new Set(places.map(({ path }) => path)).size > 1)
    .map(([name]) => name);

  expect(shared.toSorted()).toEqual(sharedTypeNames);
});
