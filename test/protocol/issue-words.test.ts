import { describe, expect, it } from "vitest";
import { z } from "zod";
import { command } from "../../src/protocol/commands.ts";
import { parseWith } from "../../src/protocol/parse-with.ts";
import { historyMessage, subscribeMessage } from "../../src/protocol/publications.ts";
import { userChannelBody } from "../../src/protocol/sessions.ts";
import { streamQuery } from "../../src/protocol/streams.ts";

function refusal(schema: z.ZodType, value: unknown): string {
  try {
    parseWith(schema, value);
    return "accepted";
  } catch (error) {
    return (error as Error).message;
  }
}

describe("what is wrong with a value is said in plain words", () => {
  it.each([
    ["a number below its minimum", historyMessage, { channel: "a:b", limit: 0 }, "limit: must be at least 1"],
    ["a number above its maximum", historyMessage, { channel: "a:b", limit: 5_000 }, "limit: must be at most 1000"],
    ["a fraction", historyMessage, { channel: "a:b", limit: 1.5 }, "limit: must be a whole number"],
    ["another type", subscribeMessage, { channel: "a:b", token: 1 }, "token: must be a string"],
    ["an empty string", subscribeMessage, { channel: "a:b", token: "" }, "token: must have at least 1 character"],
    ["a missing field", subscribeMessage, { channel: "a:b", since: {} }, "since.epoch: is required"],
    ["an unknown field", subscribeMessage, { channel: "a:b", x: 1 }, "x: is unknown"],
    ["a value that is no object", subscribeMessage, "a:b", "The request must be an object."],
    ["a command of no known type", command, { type: "x" }, /^type: must be one of publish, order\.create, /],
    ["a number that is not positive", z.object({ n: z.number().positive() }), { n: 0 }, "n: must be greater than 0"],
    ["too many entries", z.object({ l: z.array(z.int()).max(1) }), { l: [1, 2] }, "l: must have at most 1 entry"],
    ["the wrong length", z.object({ s: z.string().length(3) }), { s: "a" }, "s: must have exactly 3 characters"],
    [
      "none of two types",
      z.object({ u: z.union([z.string(), z.null()]) }),
      { u: 1 },
      "u: must be a string, or must be null",
    ],
    ["a word that is not listed", z.object({ w: z.enum(["a", "b"]) }), { w: "c" }, "w: must be one of a, b"],
  ])("%s", (_name, schema, value, expected) => {
    expect(refusal(schema, value)).toMatch(expected);
  });
});

it.each([
  ["POST /v1/users/{id}/subscribe", userChannelBody, { channel: "news:*" }, "channel: must not contain *"],
  [
    "GET /v1/stream",
    streamQuery,
    { channel: ["chat:a", "news:*"] },
    "channel[1]: must name one channel; * is for grants only",
  ],
  [
    "a publish command",
    command,
    { type: "publish", channel: "news:*", event: "x", data: 1 },
    "channel: must name one channel; * is for grants only",
  ],
])("%s refuses a pattern where a channel is expected", (_name, schema, value, expected) => {
  expect(refusal(schema, value)).toBe(expected);
});
