import { get, post } from "../api.ts";
import { age, bytes, number, percent } from "../format.ts";
import { Act, Card, Empty, Loaded, Plot, Table, type Column } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { usePoll } from "../use-poll.ts";
import type { MissingNode, NodeReport, NodeHistorySample } from "../../../src/protocol/operator/operator.ts";

type CountName = "handshakes" | "refusals" | "closings";

interface Overview {
  at: number;
  nodes: NodeReport[];
  missing: MissingNode[];
  totals: Pick<NodeReport, "connections" | "queuedBytes" | "publications" | "deliveries" | CountName>;
  history: NodeHistorySample[];
  store: {
    description: string;
    latencyMs?: number;
    usedMemoryBytes?: number;
    maxMemoryBytes?: number;
    replicas?: number;
    replicaLagSeconds?: number;
    probe: "ok" | "failing";
    note?: string;
  };
}

export function OverviewView() {
  const polled = usePoll(() => get<Overview>("overview"), [], 2_000);
  return (
    <Loaded of={polled}>
      {(overview) => (
        <>
          {overview.missing.map(({ nodeId, state, lastSeenAt }) => (
            <p key={nodeId} class={state === "left" ? "state" : "alert"} role="status">
              {missingText(nodeId, state)} Last seen {age(overview.at - (lastSeenAt ?? overview.at))} ago.
            </p>
          ))}
          <Sums overview={overview} />
          <Card title="Nodes">
            <Table
              caption="Nodes"
              rows={overview.nodes}
              columns={columnsAt(overview.at)}
              keyOf={({ nodeId }) => nodeId}
            />
          </Card>
          <Card title="Last 15 minutes">
            {overview.history.length < 2 ? (
              <Empty>The nodes have not sampled enough yet.</Empty>
            ) : (
              plots(overview.history)
            )}
          </Card>
          <div class="columns">
            <Counts title="Handshakes" counts={overview.totals.handshakes} />
            <Counts title="Refusals" counts={overview.totals.refusals} />
            <Counts title="Closings" counts={overview.totals.closings} />
          </div>
        </>
      )}
    </Loaded>
  );
}

function missingText(nodeId: string, state: MissingNode["state"]): string {
  if (state === "silent") return `${nodeId} does not answer, and is not counted below.`;
  return state === "dead" ? `${nodeId} died.` : `${nodeId} has left.`;
}

function Sums({ overview: { nodes, missing, totals, store } }: { overview: Overview }) {
  const silent = missing.filter(({ state }) => state === "silent").length;
  const memory =
    store.usedMemoryBytes === undefined
      ? "does not answer"
      : `${bytes(store.usedMemoryBytes)}${store.maxMemoryBytes ? ` of ${bytes(store.maxMemoryBytes)}` : ""}`;
  return (
    <dl class="sums">
      <div>
        <dt>Nodes</dt>
        <dd>{silent === 0 ? nodes.length : `${nodes.length} of ${nodes.length + silent}`}</dd>
      </div>
      <div>
        <dt>Connections</dt>
        <dd>{number(totals.connections)}</dd>
      </div>
      <div>
        <dt>Publications</dt>
        <dd>{number(totals.publications)}</dd>
        <dd class="soft">delivered {number(totals.deliveries)} times</dd>
      </div>
      <div>
        <dt>Queued</dt>
        <dd>{bytes(totals.queuedBytes)}</dd>
      </div>
      <div>
        <dt>Store</dt>
        <dd>{memory}</dd>
        <dd class="soft">{store.description}</dd>
        {store.latencyMs !== undefined && <dd class="soft">answers in {store.latencyMs} ms</dd>}
        <dd class={store.probe === "ok" ? "soft" : "alert"}>
          {store.probe === "ok" ? "the pub/sub probe arrives" : "the pub/sub probe does not arrive"}
        </dd>
        {store.replicas !== undefined && store.replicas > 0 && (
          <dd class="soft">
            {store.replicas} replicas, the slowest {store.replicaLagSeconds ?? 0} s behind
          </dd>
        )}
      </div>
    </dl>
  );
}

const columnsAt = (at: number): Column<NodeReport>[] => [
  { title: "Node", cell: ({ nodeId }) => nodeId },
  {
    title: "State",
    cell: ({ state, reason }) => (
      <>
        <span class={`badge ${state}`}>{state}</span> <span class="soft">{reason}</span>
      </>
    ),
  },
  { title: "Version", cell: ({ version, nodejsVersion }) => `${version} (Node ${nodejsVersion})` },
  { title: "Up", isNumber: true, cell: ({ startedAt }) => age(at - startedAt) },
  { title: "Connections", isNumber: true, cell: ({ connections }) => number(connections) },
  { title: "Channels", isNumber: true, cell: ({ channels }) => number(channels) },
  { title: "Queued", isNumber: true, cell: ({ queuedBytes }) => bytes(queuedBytes) },
  { title: "CPU", isNumber: true, cell: ({ cpuCores }) => percent(cpuCores) },
  { title: "Loop", isNumber: true, cell: ({ eventLoopUtilization }) => percent(eventLoopUtilization) },
  { title: "Loop delay", isNumber: true, cell: ({ eventLoopDelayMs }) => `${eventLoopDelayMs} ms` },
  { title: "Memory", isNumber: true, cell: ({ memoryBytes }) => bytes(memoryBytes) },
  { title: "Lease", isNumber: true, cell: ({ leaseAgeMs }) => `${leaseAgeMs} ms` },
  {
    title: "Acts",
    cell: ({ nodeId, state }) =>
      mayAct() && state !== "draining" ? (
        <Act
          label="Drain"
          question={`Drain ${nodeId}? It moves its clients to other nodes and exits.`}
          act={async () => {
            const { draining } = await post<{ draining: number }>(`nodes/${encodeURIComponent(nodeId)}/drain`);
            return draining === 1 ? "draining" : "the node did not confirm";
          }}
        />
      ) : (
        "–"
      ),
  },
];

function plots(history: readonly NodeHistorySample[]) {
  const of = (name: keyof NodeHistorySample): number[] => history.map((sample) => sample[name]);
  return (
    <div class="plots">
      <Plot title="Connections" values={of("connections")} />
      <Plot title="Publications" values={of("publications")} unit="/s" />
      <Plot title="Deliveries" values={of("deliveries")} unit="/s" />
      <Plot title="Handshakes" values={of("handshakes")} unit="/s" />
      <Plot title="Refusals" values={of("refusals")} unit="/s" />
      <Plot title="Closings" values={of("closings")} unit="/s" />
      <Plot title="CPU" values={of("cpuCores")} unit=" cores" />
    </div>
  );
}

function Counts({ title, counts }: { title: string; counts: Readonly<Record<string, number>> }) {
  const rows = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
  return (
    <Card title={title}>
      {rows.length === 0 ? (
        <Empty>None since the nodes started.</Empty>
      ) : (
        <Table
          caption={title}
          rows={rows}
          keyOf={([code]) => code}
          columns={[
            { title: "Code", cell: ([code]) => code },
            { title: "Count", isNumber: true, cell: ([, count]) => number(count) },
          ]}
        />
      )}
    </Card>
  );
}
