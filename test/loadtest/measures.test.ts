import { createHistogram } from "node:perf_hooks";
import { describe, expect, test } from "vitest";
import { Histogram } from "../../src/loadtest/histogram.ts";
import { schedule } from "../../src/loadtest/load/schedule.ts";
import { seeded, seededFor } from "../../src/loadtest/random.ts";

describe("a histogram", () => {
  const values = (): number[] => {
    const random = seeded(3);
    return Array.from({ length: 20_000 }, () => Math.exp(random() * 14) / 1_000);
  };

  test("agrees with Node's own to within a hundredth", () => {
    const own = new Histogram();
    const nodes = createHistogram();
    for (const value of values()) {
      own.record(value);
      nodes.record(Math.max(Math.round(value * 1_000), 1));
    }

    for (const percent of [50, 90, 99, 99.9])
      expect(own.percentile(percent) / (nodes.percentile(percent) / 1_000)).toBeCloseTo(1, 1.7);
    const { count, max, mean } = own.percentiles();
    expect(count).toBe(nodes.count);
    expect(max).toBeCloseTo(Math.max(...values()), 2);
    expect(mean / (nodes.mean / 1_000)).toBeCloseTo(1, 2);
  });

  test("is the same whether one process measured or several", () => {
    const [whole, sum, parts] = [new Histogram(), new Histogram(), [new Histogram(), new Histogram(), new Histogram()]];
    for (const [index, value] of values().entries()) {
      whole.record(value);
      parts[index % 3]?.record(value);
    }

    for (const part of parts) sum.add(JSON.parse(JSON.stringify(part.toParts())));

    expect(sum.percentiles()).toEqual(whole.percentiles());
  });

  test("is 0 without values, and limits values to its maximum", () => {
    const histogram = new Histogram();
    expect(histogram.percentiles()).toMatchObject({ count: 0, mean: 0, p50: 0, max: 0 });

    histogram.record(1e12);
    histogram.record(-5);

    expect(histogram.percentiles()).toMatchObject({ count: 2, p50: 0, max: 2_147_483.647 });
  });
});

describe("a schedule", () => {
  const pace = { perSecond: 100, durationSeconds: 50, arrivals: "poisson", burst: 1 } as const;

  test("is the same for the same seed, and another for another", () => {
    const of = (seed: number) => [...schedule(pace, seededFor(seed, "schedule"))];

    expect(of(1)).toEqual(of(1));
    expect(of(2)).not.toEqual(of(1));
  });

  test("keeps its rate, at random or evenly", () => {
    const poisson = [...schedule(pace, seeded(5))];
    const steady = [...schedule({ ...pace, arrivals: "steady" }, seeded(5))];

    expect(poisson.length / 5_000).toBeCloseTo(1, 1);
    expect(steady).toHaveLength(4_999);
    expect(steady.slice(0, 3)).toEqual([10, 20, 30]);
    // Independent senders meet: gaps are exponential, so a tenth of them is below a tenth of the mean.
    const gaps = poisson.slice(1).map((moment, at) => moment - (poisson[at] ?? 0));
    expect(gaps.filter((gap) => gap < 1).length / gaps.length).toBeCloseTo(0.095, 1.5);
  });

  test("sends bursts at one moment, no more publications for that", () => {
    const bursts = [...schedule({ ...pace, arrivals: "steady", burst: 10 }, seeded(5))];

    expect(bursts).toHaveLength(4_990);
    expect(new Set(bursts).size).toBe(499);
  });
});
