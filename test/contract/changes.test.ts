import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { compareContracts } from "../../src/cli/contract.ts";
import { contractSchemas } from "../../src/protocol/contract/contract-schemas.ts";
import { defineContract } from "../../src/protocol/contract/contract.ts";
import { repository } from "../support/source-tree.ts";

const compare = (old: object, now: object) =>
  compareContracts(contractSchemas(defineContract(old)), contractSchemas(defineContract(now)));

test("names that every object has, such as those of a race, are compared as others", () => {
  const before = {
    events: { toString: z.string() },
    channels: { race: { result: z.object({ constructor: z.string() }) } },
  };
  const now = { channels: { race: { result: z.object({}) } } };

  expect(compare(before, now).breaking).toEqual([
    "events.toString: was removed",
    "channels.race.result.constructor: may now be missing",
  ]);
});

const event = (input: z.ZodType, answer?: z.ZodType) => ({
  events: { move: answer === undefined ? input : { input, answer } },
});
const channel = (said: z.ZodType) => ({ channels: { chat: { said } } });
const tree = z.object({
  text: z.string(),
  get children() {
    return z.array(tree).optional();
  },
});
const longTree = z.object({
  text: z.string().min(2),
  get children() {
    return z.array(longTree).optional();
  },
});

const cases: [string, object, object, string[]][] = [
  ["an event that is gone", event(z.string()), {}, ["events.move: was removed"]],
  ["a kind that is gone", channel(z.string()), {}, ["channels.chat: was removed"]],
  ["a publication that is gone", channel(z.string()), { channels: { chat: {} } }, ["channels.chat.said: was removed"]],
  ["an answer that is gone", event(z.string(), z.string()), event(z.string()), ["events.move.answer: was removed"]],
  [
    "a new required field",
    event(z.object({ x: z.number() })),
    event(z.object({ x: z.number(), y: z.number() })),
    ["events.move.y: is now required"],
  ],
  [
    "a field that became required",
    event(z.object({ x: z.number().optional() })),
    event(z.object({ x: z.number() })),
    ["events.move.x: is now required"],
  ],
  [
    "a field that a closed object lost",
    event(z.strictObject({ x: z.number(), y: z.number().optional() })),
    event(z.strictObject({ x: z.number() })),
    ["events.move.y: is no longer accepted"],
  ],
  [
    "an object that was closed",
    event(z.object({ x: z.number() })),
    event(z.strictObject({ x: z.number() })),
    ["events.move: no longer accepts other fields"],
  ],
  [
    "another type",
    event(z.object({ x: z.string() })),
    event(z.object({ x: z.number() })),
    ["events.move.x: now accepts only number"],
  ],
  ["a number that must be whole", event(z.number()), event(z.int()), ["events.move: now accepts only integer"]],
  [
    "a type of several that is gone",
    event(z.union([z.string(), z.number()])),
    event(z.number()),
    ["events.move: no longer accepts string"],
  ],
  ["null that is gone", event(z.string().nullable()), event(z.string()), ["events.move: no longer accepts null"]],
  ["anything that became a text", event(z.unknown()), event(z.string()), ["events.move: now accepts only string"]],
  [
    "a value that is gone",
    event(z.enum(["a", "b", "c"])),
    event(z.enum(["a"])),
    ['events.move: no longer accepts "b", "c"'],
  ],
  ["a text that became a choice", event(z.string()), event(z.enum(["a"])), ['events.move: now accepts only "a"']],
  [
    "bounds",
    event(z.string().max(9)),
    event(z.string().min(2).max(5)),
    ["events.move: minLength is now 2, was none", "events.move: maxLength is now 5, was 9"],
  ],
  ["a pattern", event(z.string()), event(z.string().regex(/^a/)), ['events.move: pattern is now "^a", was none']],
  [
    "items of a list",
    event(z.array(z.object({ n: z.string() }))),
    event(z.array(z.object({ n: z.number() }))),
    ["events.move[].n: now accepts only number"],
  ],
  [
    "values of a record",
    event(z.record(z.string(), z.string())),
    event(z.record(z.string(), z.number())),
    ["events.move[*]: now accepts only number"],
  ],
  [
    "one form of several",
    event(z.union([z.object({ a: z.string() }), z.string()])),
    event(z.union([z.object({ a: z.string(), b: z.string() }), z.string()])),
    ["events.move.b: is now required"],
  ],
  [
    "something that contains itself",
    event(tree),
    event(longTree),
    ["events.move.text: minLength is now 2, was none", "events.move.children[].text: minLength is now 2, was none"],
  ],
  [
    "an answer that may be something new",
    event(z.string(), z.object({ s: z.enum(["a"]), t: z.string(), u: z.string() })),
    event(z.string(), z.object({ s: z.enum(["a", "b"]), t: z.string().nullable(), v: z.string() })),
    [
      "events.move.answer.u: may now be missing",
      'events.move.answer.s: may now be "b"',
      "events.move.answer.t: may now be null",
    ],
  ],
  [
    "data for readers and writers of a channel",
    channel(z.object({ a: z.string(), b: z.string().optional() })),
    channel(z.object({ a: z.string().optional(), b: z.string() })),
    ["channels.chat.said.b: is now required", "channels.chat.said.a: may now be missing"],
  ],
];

const more = (schema: z.ZodType) => ({
  state: { board: { title: schema } },
  orders: { data: schema, events: { confirmed: schema }, signals: { place: schema } },
  leaderboards: { daily: schema },
  namespaces: { "/admin": { ban: { input: schema, answer: schema } } },
});
const places = [
  "state.board.title",
  "orders.data",
  "orders.events.confirmed",
  "orders.signals.place",
  "leaderboards.daily",
  'namespaces["/admin"].ban',
];

cases.push(
  [
    "state, data of orders and scores, and events of namespaces",
    more(z.enum(["a", "b"])),
    more(z.enum(["a", "c"])),
    places.flatMap((place) =>
      place.startsWith("namespaces")
        ? [`${place}: no longer accepts "b"`, `${place}.answer: may now be "c"`]
        : [`${place}: no longer accepts "b"`, `${place}: may now be "c"`],
    ),
  ],
  [
    "what of them is gone",
    more(z.string()),
    { orders: {} },
    [
      "state.board: was removed",
      "orders.data: was removed",
      "orders.events.confirmed: was removed",
      "orders.signals.place: was removed",
      "leaderboards.daily: was removed",
      'namespaces["/admin"]: was removed',
    ],
  ],
);

const compatible: [string, object, object][] = [
  ["state, orders, scores and namespaces that are new", {}, more(z.string())],
  ["the same", event(tree), event(tree)],
  [
    "a new event, a new kind, a new publication",
    channel(z.string()),
    {
      events: { move: z.string() },
      channels: { chat: { said: z.string(), typing: z.string() }, news: { headline: z.string() } },
    },
  ],
  [
    "a new optional field",
    channel(z.object({ a: z.string() })),
    channel(z.object({ a: z.string(), b: z.string().optional() })),
  ],
  [
    "a new field with a default",
    event(z.object({ a: z.string() })),
    event(z.object({ a: z.string(), b: z.string().default("b") })),
  ],
  [
    "wider input",
    event(z.object({ a: z.enum(["a"]), n: z.int().min(3) })),
    event(z.object({ a: z.enum(["a", "b"]).nullable(), n: z.number().min(1).optional() })),
  ],
  [
    "a narrower answer",
    event(z.string(), z.object({ a: z.string().optional() })),
    event(z.string(), z.object({ a: z.string(), b: z.string() })),
  ],
  ["another order", event(z.union([z.string(), z.number()])), event(z.union([z.number(), z.string(), z.boolean()]))],
];

describe("contract check", () => {
  test.each(cases)("names %s", (_, old, now, lines) => {
    expect(compare(old, now)).toEqual({ breaking: lines, unknown: [] });
  });

  test.each(compatible)("accepts %s", (_, old, now) => {
    expect(compare(old, now)).toEqual({ breaking: [], unknown: [] });
  });

  test("says what it cannot compare", () => {
    expect(compare(event(z.date()), event(z.date()))).toEqual({
      breaking: [],
      unknown: ["events.move: cannot be compared (Date cannot be represented in JSON Schema)"],
    });
  });
});

describe("tidegate contract", () => {
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), "contract-"));
    onTestFinished(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };
  const tidegate = (...words: string[]) =>
    spawnSync(process.execPath, [join(repository, "src/main.ts"), "contract", ...words], { encoding: "utf8" });
  /** A schema of a library of one's own, with Standard JSON Schema. */
  const moduleOf = (type: string): string =>
    `const json = () => ({ type: "${type}" });
    const schema = { "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }), jsonSchema: { input: json, output: json } } };
    export default { events: { move: schema } };`;

  test("compares modules and printed JSON, and its exit code tells", () => {
    const at = folder();
    const [old, now, printed] = ["old.ts", "new.ts", "old.json"].map((name) => join(at, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(old, moduleOf("string"));
    writeFileSync(now, moduleOf("number"));

    writeFileSync(printed, tidegate("print", old).stdout);

    expect(tidegate("check", printed, now)).toMatchObject({
      status: 1,
      stdout: "events.move: now accepts only number\n",
    });
    expect(tidegate("check", printed, old)).toMatchObject({ status: 0, stdout: "No breaking changes.\n" });
  });

  test("does not take a file for a contract that is none", () => {
    const file = join(folder(), "wrong.json");
    writeFileSync(file, '{ "events": { "move": {} } }');

    const { status, stderr } = tidegate("check", file, file);

    expect(status).toBe(64);
    expect(stderr).toMatch(/wrong\.json is not a contract: .*events\.move\.input/s);
  });
});
