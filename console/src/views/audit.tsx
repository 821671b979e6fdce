import { useState } from "preact/hooks";
import { get } from "../api.ts";
import { time } from "../format.ts";
import { Empty, Loaded, Table } from "../parts.tsx";
import { usePoll } from "../use-poll.ts";
import type { AuditEntry } from "../../../src/protocol/operator/operator-reasons.ts";

const pageSize = 100;
const words = (record: object): string =>
  Object.entries(record)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");

export function AuditView() {
  const [before, setBefore] = useState<string>();
  const polled = usePoll(() => get<{ entries: AuditEntry[] }>("audit", { before, limit: pageSize }), [before]);
  return (
    <Loaded of={polled}>
      {({ entries }) => (
        <>
          {entries.length === 0 ? <Empty>Nobody has acted yet.</Empty> : <Entries entries={entries} />}
          <p class="pages">
            <button type="button" disabled={before === undefined} onClick={() => setBefore(undefined)}>
              Newest
            </button>{" "}
            <button type="button" disabled={entries.length < pageSize} onClick={() => setBefore(entries.at(-1)?.id)}>
              Older
            </button>{" "}
            <a
              download="audit.json"
              href={`/v1/operator/audit?limit=1000${before === undefined ? "" : `&before=${before}`}`}
            >
              Download
            </a>
          </p>
        </>
      )}
    </Loaded>
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  return (
    <Table
      caption="Acts, newest first"
      rows={entries}
      keyOf={({ id }) => id}
      columns={[
        { title: "At", cell: ({ at }) => time(at) },
        { title: "By", cell: ({ by, via }) => (via === "api" ? `API key ${by}` : by) },
        { title: "Act", cell: ({ act }) => act },
        { title: "On", cell: ({ target }) => words(target) || "–" },
        { title: "Outcome", cell: ({ outcome }) => words(outcome) },
        { title: "From", cell: ({ address }) => address ?? "–" },
        { title: "Request", cell: ({ requestId }) => <code>{requestId}</code> },
      ]}
    />
  );
}
