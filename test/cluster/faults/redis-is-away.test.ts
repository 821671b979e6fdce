import { describe, expect, onTestFinished, test } from "vitest";
import {
  expectNobodyLeft,
  expectWhole,
  isLong,
  lasting,
  pause,
  seeds,
  underLoad,
  untilLeasesEnd,
  untilUnready,
} from "../../support/faults.ts";
import { promised, timed } from "../../support/promised.ts";
import { useCluster } from "../../support/use-cluster.ts";

describe.each(seeds)("Redis away, and back with what it had (seed %i)", (seed) => {
  const cluster = useCluster({ store: { isDurable: true, hasLine: true } });

  test("killed for two seconds: writes are refused, clients stay, everything comes", timed, async () => {
    let unreadyMs = Infinity;
    const outcome = await underLoad(cluster(), { seed }, async () => {
      const redis = await cluster().store.primary();
      await redis.kill();
      [unreadyMs] = await Promise.all([untilUnready(cluster()), pause(2_000)]);
      await redis.restart();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    expect(outcome.refusals).toBeGreaterThan(0);
    expect(unreadyMs).toBeLessThan(promised(2_000));
  });

  test("behind a line that is cut", timed, async () => {
    let unreadyMs = Infinity;
    const outcome = await underLoad(cluster(), { seed }, async () => {
      cluster().store.line?.cut();
      [unreadyMs] = await Promise.all([untilUnready(cluster()), pause(lasting(10_000, 4_000))]);
      await cluster().store.line?.heal();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    expect(unreadyMs).toBeLessThan(promised(2_000));
  });

  test("behind a line that falls silent, and then brings what it held back", timed, async () => {
    let unreadyMs = Infinity;
    const outcome = await underLoad(cluster(), { seed }, async () => {
      cluster().store.line?.silence();
      [unreadyMs] = await Promise.all([untilUnready(cluster()), pause(lasting(10_000, 4_000))]);
      await cluster().store.line?.heal();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    expect(unreadyMs).toBeLessThan(promised(2_500));
  });

  test("hanging: once that is known, writes are refused at once", timed, async () => {
    let refused = { status: 0, tookMs: Infinity };
    const outcome = await underLoad(cluster(), { seed }, async () => {
      const redis = await cluster().store.primary();
      redis.freeze();
      // A frozen server would fail every test after this one.
      onTestFinished(() => redis.thaw());
      await untilLeasesEnd(cluster());
      const asked = Date.now();
      const { status } = await cluster()
        .node(0)
        .call("POST", "/v1/publish", { channel: "lab:0", event: "e", data: {} });
      refused = { status, tookMs: Date.now() - asked };
      await pause(lasting(15_000, 2_000));
      redis.thaw();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    // Time-outs would take 6 s.
    expect({ ...refused, isQuick: refused.tookMs < promised(2_000) }).toMatchObject({ status: 503, isQuick: true });
  });

  test.runIf(isLong)(
    "for ten minutes: nobody leaves, and memory stays where it is",
    async () => {
      const resident = () => cluster().node(0).metric("process_resident_memory_bytes");
      const before = await resident();
      const outcome = await underLoad(cluster(), { seed }, async () => {
        cluster().store.line?.cut();
        await pause(600_000);
        expect((await resident()) - before).toBeLessThan(100 * 1_048_576);
        await cluster().store.line?.heal();
      });

      expectWhole(outcome);
      expectNobodyLeft(cluster(), outcome);
    },
    900_000,
  );

  test("with connections that break while commands are on their way: none is carried out twice", async () => {
    const publishing = { isPatient: false };
    const outcome = await underLoad(cluster(), { seed, perSecond: 400, publishing }, async ({ random }) => {
      const { line } = cluster().store;
      line?.delay(20);
      for (const until = Date.now() + lasting(20_000, 3_000); Date.now() < until;) {
        await pause(100 + random() * 200);
        line?.reset();
      }
      await line?.heal();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    expect(outcome.refusals).toBeGreaterThan(0);
  });
});

describe.each(seeds)("Redis away, and back with nothing (seed %i)", (seed) => {
  const cluster = useCluster();

  test("is told to every reader, and goes on in epochs of its own", async () => {
    const outcome = await underLoad(cluster(), { seed }, async () => {
      const redis = await cluster().store.primary();
      await redis.kill();
      await redis.restart();
    });

    const { lost, repeated, reordered, unreported: untold, reported: told } = outcome.verdict;
    expect({ lost, repeated, reordered, untold }).toEqual({ lost: 0, repeated: 0, reordered: 0, untold: 0 });
    expect(told).toBeGreaterThanOrEqual(2 * outcome.load.readers.length);
    expect(outcome.flowingAgainMs).toBeLessThan(promised(5_000));
    expectNobodyLeft(cluster(), outcome);
  });
});
