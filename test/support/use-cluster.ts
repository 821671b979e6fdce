import { afterAll, beforeAll, beforeEach, onTestFailed } from "vitest";
import { startCluster, type Cluster, type ClusterOptions } from "./cluster.ts";

/** A store and several processes, each of which may take a minute and a half on a busy machine. */
const startMs = 180_000;

/** One cluster for all tests of a block; where one fails, what the nodes said is shown. */
export function useCluster(options: ClusterOptions = {}): () => Cluster {
  let cluster: Cluster | undefined;
  beforeAll(async () => void (cluster = await startCluster(options)), startMs);
  beforeEach(() => onTestFailed(() => void process.stderr.write(`${cluster?.explain() ?? "no cluster"}\n`)));
  afterAll(() => cluster?.stop(), startMs);
  return () => {
    if (cluster === undefined) throw new Error("the cluster did not start");
    return cluster;
  };
}
