import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { clientPlansOf } from "../../src/loadtest/client-plan.ts";
import type { Plan } from "../../src/loadtest/plan.ts";
import { presetNames, readScenario } from "../../src/loadtest/presets.ts";
import { planFaults } from "../../src/loadtest/run/faults.ts";
import { parseScenario } from "../../src/loadtest/scenario.ts";

describe("a scenario", () => {
  const load = { type: "publications", perSecond: 10 };
  const wrong = (scenario: object) => () => parseScenario({ name: "mine", load, ...scenario });

  test.each([
    ["a name that is none", { name: "a b" }, "name: must be 1 to 64 characters out of letters, digits, - and _"],
    ["a load it does not know", { load: { type: "chat" } }, "load.type: "],
    ["no pace", { load: { type: "publications" } }, "load.perSecond: is required"],
    ["a field it does not know", { readers: { cout: 3 } }, "readers.cout: is unknown"],
    ["nobody", { readers: { count: 0 } }, "readers.count: "],
    ["clients of no kind", { readers: { clients: { lean: 0 } } }, "readers.clients: must name at least one kind"],
    ["a client it does not know", { readers: { clients: { python: 1 } } }, "readers.clients"],
    ["more channels each than there are", { channels: { perReader: 2 } }, "channels.perReader: must be at most"],
    ["a fault it does not know", { faults: [{ do: "explode" }] }, "faults[0].do: "],
    ["a share above all", { faults: [{ do: "kill" }, { do: "cut", share: 1.5 }] }, "faults[1].share: "],
    [
      "more than can be remembered",
      { load: { ...load, perSecond: 1e6 } },
      "load.perSecond: must produce at most 5000000",
    ],
    ["a threshold it does not know", { thresholds: { p98Ms: 1 } }, "thresholds.p98Ms: is unknown"],
  ])("with %s is refused by name", (_, scenario, complaint) => {
    expect(wrong(scenario)).toThrow(complaint);
  });

  test("that is built in is valid", () => {
    expect(presetNames()).toEqual(expect.arrayContaining(["idle", "fan-out", "channels", "orders", "leaderboard"]));
    for (const name of presetNames()) expect(readScenario(name)).toMatchObject({ name });
  });

  test("applies overrides of the command line before validation", () => {
    const scenario = readScenario("jitter", { readers: { count: 7 }, thresholds: { p99Ms: 50 } });

    expect(scenario).toMatchObject({
      readers: { count: 7, clients: { lean: 8 } },
      thresholds: { p99Ms: 50, lost: 0, reported: 0 },
    });
    expect(() => readScenario("jitter", { readers: { count: -1 } })).toThrow("jitter: readers.count: ");
  });

  test("may be read from a file, which is named if it is invalid", () => {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-scenario-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "mine.json");

    writeFileSync(file, JSON.stringify({ name: "mine", load }));
    expect(readScenario(file)).toMatchObject({ name: "mine", readers: { count: 100 }, thresholds: { lost: 0 } });
    writeFileSync(file, "{");
    expect(() => readScenario(file)).toThrow("mine.json: invalid JSON");
    expect(() => readScenario("fanout")).toThrow("fanout: is neither a file nor a built-in scenario (channels, ");
  });
});

describe("the client plans of a run", () => {
  const planOf = (more: object, seed = 1): Plan => ({
    scenario: parseScenario({ name: "mine", load: { type: "none" }, ...more }),
    target: "gateway",
    addresses: ["http://a", "http://b"],
    path: "/socket.io/",
    workers: 1,
    seed,
    run: "r",
    apiKey: "k",
  });

  test("are the same for the same seed in every worker", () => {
    const plan = planOf({ readers: { count: 50 }, channels: { count: 20, perReader: 3 } });

    expect([...clientPlansOf(plan)]).toEqual([...clientPlansOf(plan)]);
    expect([...clientPlansOf({ ...plan, seed: 2 })]).not.toEqual([...clientPlansOf(plan)]);
  });

  test("give every channel its readers and no reader a channel twice", () => {
    const roles = [...clientPlansOf(planOf({ readers: { count: 40 }, channels: { count: 30, perReader: 3 } }))];
    const readers = Map.groupBy(
      roles.flatMap(({ channels }) => channels),
      (channel) => channel,
    );

    expect(readers.size).toBe(30);
    expect([...readers.values()].every(({ length }) => length >= 3 && length <= 5)).toBe(true);
    expect(roles.every(({ channels }) => new Set(channels).size === 3)).toBe(true);
  });

  test("mix client kinds in the given proportions", () => {
    const roles = [...clientPlansOf(planOf({ readers: { count: 100, clients: { lean: 7, stock: 2, tidegate: 1 } } }))];
    const count = (kind: string) => roles.filter((role) => role.kind === kind).length;

    expect([count("lean"), count("stock"), count("tidegate")]).toEqual([70, 20, 10]);
  });
});

test("faults are scheduled at their times and repeated", () => {
  const { faults } = parseScenario({
    name: "mine",
    load: { type: "none" },
    faults: [
      { do: "cut", everySeconds: 15 },
      { do: "kill", atSeconds: 20 },
      { do: "stall", atSeconds: 99 },
    ],
  });

  expect(planFaults(faults, 40).map(({ atSeconds, round, fault }) => [atSeconds, fault.do, round])).toEqual([
    [0, "cut", 0],
    [15, "cut", 1],
    [20, "kill", 0],
    [30, "cut", 2],
  ]);
});
