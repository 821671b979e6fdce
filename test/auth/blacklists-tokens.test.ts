import type { Duplex } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { FakeClock } from "../support/fake-clock.ts";
import { eventually } from "../support/world.ts";
import { authWorld } from "./world.ts";

describe("a token on the blacklist", () => {
  it("stays there for the rest of its life, not longer", async () => {
    const { blacklist, commands, keys } = await authWorld();

    expect(await blacklist.revoke("token-1", Date.now() + 600_000)).toBe(true);

    const life = await commands.pttl(keys.revokedToken("token-1"));
    expect(life).toBeGreaterThan(570_000);
    expect(life).toBeLessThanOrEqual(600_000);
    expect(await blacklist.isRevoked("token-1")).toBe(true);
    expect(await blacklist.isRevoked("token-2")).toBe(false);
  });

  it("is forgotten with its end", async () => {
    const { blacklist } = await authWorld();

    await blacklist.revoke("token-1", Date.now() + 50);

    await eventually(async () => expect(await blacklist.isRevoked("token-1")).toBe(false));
  });

  it("is not written where it has ended already", async () => {
    const clock = new FakeClock();
    const { blacklist, commands, keys } = await authWorld({ clock });

    expect(await blacklist.revoke("token-1", clock.now())).toBe(false);
    expect(await blacklist.revoke("token-2", clock.now() - 1)).toBe(false);
    expect(await commands.exists(keys.revokedToken("token-1"), keys.revokedToken("token-2"))).toBe(0);
  });

  it("is kept no longer than any token lives, whatever end was named", async () => {
    const { blacklist, commands, keys } = await authWorld();

    await blacklist.revoke("token-1", Number.MAX_SAFE_INTEGER);

    expect(await commands.pttl(keys.revokedToken("token-1"))).toBeLessThanOrEqual(86_460_000);
  });

  it("may have any name", async () => {
    const { blacklist } = await authWorld();
    const names = ["a:b", "}{", "*", "%2A", "~", "漢", "x".repeat(256), " ", "__proto__"];

    for (const name of names) await blacklist.revoke(name, Date.now() + 60_000);

    for (const name of names) expect(await blacklist.isRevoked(name)).toBe(true);
    for (const name of ["a", "b", "%7D%7B", "x".repeat(255)]) expect(await blacklist.isRevoked(name)).toBe(false);
  });
});

it("a thousand are looked up in one go", async () => {
  const { blacklist, commands } = await authWorld();
  const ids = Array.from({ length: 1_000 }, (_, i) => `token-${i}`);
  await Promise.all(ids.filter((_, i) => i % 3 === 0).map((id) => blacklist.revoke(id, Date.now() + 60_000)));
  const { stream } = commands as unknown as { stream: Duplex };
  const writes = vi.spyOn(stream, "_writev" as never);

  const answers = await Promise.all(ids.map((id) => blacklist.isRevoked(id)));

  expect(answers).toEqual(ids.map((_, i) => i % 3 === 0));
  expect(writes).toHaveBeenCalledTimes(1);
});
