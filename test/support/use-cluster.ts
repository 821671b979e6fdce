import { afterAll, beforeAll, beforeEach, onTestFailed } from "vitest";
import { startCluster, type Cluster, type ClusterOptions } from "./cluster.ts";

/** One cluster for all tests of a block; where one fails, what the nodes said is shown. */
export function useCluster(options: ClusterOptions = {}): () => Cluster {
  let cluster: Cluster | undefined;
  beforeAll(async () => void (cluster = await startCluster(options)), 60_000);
  beforeEach(() => onTestFailed(() => void process.stderr.write(`${cluster?.explain() ?? "no cluster"}\n`)));
  afterAll(() => cluster?.stop(), 60_000);
  return () => {
    if (cluster === undefined) throw new Error("the cluster did not start");
    return cluster;
  };
}
