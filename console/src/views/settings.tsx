import { useState } from "preact/hooks";
import { get } from "../api.ts";
import { Card, Empty, Loaded, Silent, Table } from "../parts.tsx";
import { usePoll } from "../use-poll.ts";

interface Settings {
  nodeId: string;
  settings: { name: string; value: unknown; source: "default" | "file" | "environment"; variables?: string[] }[];
  differences: { name: string; values: Record<string, unknown> }[];
  silent: string[];
}

export function SettingsView() {
  const [text, setText] = useState("");
  const polled = usePoll(() => get<Settings>("settings"), []);
  return (
    <Loaded of={polled}>
      {({ nodeId, settings, differences, silent }) => (
        <>
          <Silent nodes={silent} />
          <Card title="Differences between nodes">
            {differences.length === 0 ? (
              <Empty>All nodes have the same settings.</Empty>
            ) : (
              <Differences of={differences} />
            )}
          </Card>
          <Card title={`Effective settings of ${nodeId}`}>
            <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
              <label>
                name contains <input onInput={(event) => setText((event.target as HTMLInputElement).value)} />
              </label>
            </form>
            <Table
              caption="Effective settings"
              rows={settings.filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()))}
              keyOf={({ name }) => name}
              columns={[
                { title: "Setting", cell: ({ name }) => <code>{name}</code> },
                { title: "Value", cell: ({ value }) => <code class="payload">{JSON.stringify(value)}</code> },
                { title: "Source", cell: ({ source, variables }) => variables?.join(", ") ?? source },
              ]}
            />
          </Card>
        </>
      )}
    </Loaded>
  );
}

function Differences({ of }: { of: Settings["differences"] }) {
  return (
    <Table
      caption="Differences between nodes"
      rows={of}
      keyOf={({ name }) => name}
      columns={[
        { title: "Setting", cell: ({ name }) => <code>{name}</code> },
        {
          title: "Values",
          cell: ({ values }) =>
            Object.entries(values).map(([node, value]) => (
              <div key={node}>
                {node}: <code>{JSON.stringify(value)}</code>
              </div>
            )),
        },
      ]}
    />
  );
}
