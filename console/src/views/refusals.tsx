import { get } from "../api.ts";
import { time } from "../format.ts";
import { Empty, link, Loaded, Silent, Table } from "../parts.tsx";
import { usePoll } from "../use-poll.ts";

export interface Refusal {
  nodeId: string;
  at: number;
  count: number;
  kind: string;
  code: string;
  rule?: string;
  detail?: string;
  userId?: string;
  address?: string;
  caller?: string;
  operation?: string;
  channel?: string;
  requestId?: string;
}

/** Refusals and closings of the cluster that match a query, newest first. */
export function Refusals({ query }: { query: Record<string, string> }) {
  const polled = usePoll(
    () => get<{ refusals: Refusal[]; silent: string[] }>("refusals", query),
    [JSON.stringify(query)],
    5_000,
  );
  return (
    <Loaded of={polled}>
      {({ refusals, silent }) => (
        <>
          <Silent nodes={silent} />
          {refusals.length === 0 ? <Empty>Nothing was refused or closed.</Empty> : <RefusalTable refusals={refusals} />}
        </>
      )}
    </Loaded>
  );
}

export function RefusalTable({ refusals }: { refusals: readonly Refusal[] }) {
  return (
    <Table
      caption="Refusals and closings"
      rows={refusals}
      keyOf={(row) => JSON.stringify(row)}
      columns={[
        { title: "At", cell: ({ at }) => time(at) },
        { title: "Where", cell: ({ kind, operation }) => [kind, operation].filter(Boolean).join(" ") },
        { title: "Code", cell: ({ code }) => code },
        { title: "Why", cell: ({ rule, detail }) => [rule, detail].filter(Boolean).join(": ") || "–" },
        {
          title: "Who",
          cell: ({ userId, caller, address }) => (
            <>
              {userId === undefined ? caller : <a href={link("user", userId)}>{userId}</a>}{" "}
              <span class="soft">{address}</span>
            </>
          ),
        },
        { title: "Channel", cell: ({ channel }) => channel ?? "–" },
        { title: "Node", cell: ({ nodeId }) => nodeId },
        { title: "Times", isNumber: true, cell: ({ count }) => count },
      ]}
    />
  );
}
