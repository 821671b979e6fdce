import { describe, expect, it } from "vitest";
import { boardName } from "../../src/protocol/leaderboards.ts";
import { isName } from "../../src/protocol/names.ts";
import { orderId } from "../../src/protocol/orders.ts";
import { userId } from "../../src/protocol/scalars.ts";

describe("names that HTTP clients take for folders of a path", () => {
  it.each([".", ".."])("are no names: %s", (name) => {
    expect(isName(name)).toBe(false);
    for (const schema of [userId, orderId, boardName]) {
      expect(schema.safeParse(name).error?.issues[0]?.message).toContain('neither "." nor ".."');
    }
  });

  it.each(["...", "a.", "..a", ". ", "order:..", "a*b"])("are those two alone: %s", (name) => {
    for (const schema of [userId, orderId, boardName]) expect(schema.safeParse(name).success).toBe(true);
  });
});
