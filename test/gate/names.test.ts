import { describe, expect, it } from "vitest";
import { boardName } from "../../src/protocol/leaderboards.ts";
import { isName } from "../../src/protocol/names.ts";
import { orderCreateBody, orderId } from "../../src/protocol/orders.ts";
import { userId } from "../../src/protocol/scalars.ts";
import { appLogin, createSessionBody } from "../../src/protocol/sessions.ts";

describe("names that HTTP clients take for folders of a path", () => {
  it.each([".", ".."])("are no names: %s", (name) => {
    expect(isName(name)).toBe(false);
    for (const schema of [userId, orderId, boardName]) {
      expect(schema.safeParse(name).error?.issues[0]?.message).toContain('neither "." nor ".."');
    }
  });

  it("has no * if clients subscribe to its channel", () => {
    const [ids, login] = [[orderId, boardName], { userId: "a*b" }];
    for (const schema of ids) expect(schema.safeParse("a*b").error?.issues[0]?.message).toBe("must not contain *");
    expect(orderCreateBody.safeParse({ orderId: "o", parties: { customer: "a*b" } }).success).toBe(false);
    for (const schema of [createSessionBody, appLogin]) expect(schema.safeParse(login).success).toBe(false);
    // Also users whose tokens come from elsewhere can be blocked and erased.
    expect(userId.safeParse("a*b").success).toBe(true);
  });

  it.each(["...", "a.", "..a", ". ", "order:.."])("are those two alone: %s", (name) => {
    for (const schema of [userId, orderId, boardName]) expect(schema.safeParse(name).success).toBe(true);
  });
});
