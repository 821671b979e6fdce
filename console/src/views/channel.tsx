import { get } from "../api.ts";
import { bytes, time } from "../format.ts";
import { Card, Empty, link, Loaded, Silent, Table } from "../parts.tsx";
import { Lookup } from "../lookup.tsx";
import { usePoll } from "../use-poll.ts";

interface Channel {
  channel: string;
  kind: string;
  rules: Record<string, unknown>;
  epoch?: string;
  offset?: number;
  subscribers: { nodeId: string; subscribers: number; queuedBytes: number; offset?: number }[];
  publications: { offset: number; event: string; publishedAt: number; bytes: number; data?: unknown }[];
  silent: string[];
}

export function ChannelView({ channel }: { channel: string }) {
  return (
    <>
      <Lookup view="channel" label="Channel" value={channel} />
      {channel === "" ? <Empty>Enter a channel's name.</Empty> : <ChannelDetails channel={channel} />}
    </>
  );
}

function ChannelDetails({ channel }: { channel: string }) {
  const path = `channels/${encodeURIComponent(channel)}`;
  const polled = usePoll(() => get<Channel>(path), [path], 3_000);
  return (
    <Loaded of={polled}>
      {({ kind, rules, epoch, offset, subscribers, publications, silent }) => (
        <>
          <Silent nodes={silent} />
          <Card title="Position and rules">
            <p>
              Offset <strong>{offset}</strong> of epoch <code>{epoch}</code> ·{" "}
              <a href={link("connections")}>search its connections</a>
            </p>
            <pre>{JSON.stringify({ [kind]: rules }, null, 2)}</pre>
          </Card>
          <Card title="Subscribers">
            {subscribers.length === 0 ? (
              <Empty>Nobody is subscribed.</Empty>
            ) : (
              <Table
                caption="Subscribers by node"
                rows={subscribers}
                keyOf={({ nodeId }) => nodeId}
                columns={[
                  { title: "Node", cell: ({ nodeId }) => nodeId },
                  { title: "Subscribers", isNumber: true, cell: (row) => row.subscribers },
                  { title: "Offset", isNumber: true, cell: (row) => row.offset ?? "–" },
                  { title: "Queued", isNumber: true, cell: ({ queuedBytes }) => bytes(queuedBytes) },
                ]}
              />
            )}
          </Card>
          <Card title="Latest publications">
            {publications.length === 0 ? (
              <Empty>The log is empty.</Empty>
            ) : (
              <Publications publications={publications} />
            )}
          </Card>
        </>
      )}
    </Loaded>
  );
}

function Publications({ publications }: Pick<Channel, "publications">) {
  return (
    <Table
      caption="Latest publications"
      rows={publications.toReversed()}
      keyOf={({ offset }) => `${offset}`}
      columns={[
        { title: "Offset", isNumber: true, cell: ({ offset }) => offset },
        { title: "At", cell: ({ publishedAt }) => time(publishedAt) },
        { title: "Event", cell: ({ event }) => event },
        { title: "Size", isNumber: true, cell: (row) => bytes(row.bytes) },
        {
          title: "Data",
          cell: ({ data }) =>
            data === undefined ? <span class="soft">masked</span> : <code>{JSON.stringify(data).slice(0, 400)}</code>,
        },
      ]}
    />
  );
}
