import { useState } from "preact/hooks";
import { get, post } from "../api.ts";
import { textsOf } from "../form.ts";
import { age, bytes } from "../format.ts";
import { Act, ActForm, Card, Empty, link, Loaded, Pages, Silent, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { usePoll } from "../use-poll.ts";
import type { ConnectionSummary } from "../../../src/protocol/operator/operator.ts";
import { clearLimits, RequestForm } from "./user-acts.tsx";

interface Page {
  connections: ConnectionSummary[];
  cursor?: string;
  silent: string[];
}

const fields = ["user", "session", "connection", "address", "channel", "node", "client"] as const;
type Filter = Partial<Record<(typeof fields)[number] | "transport" | "sort", string>>;
const pageSize = 50;

export function ConnectionsView() {
  const [filter, setFilter] = useState<Filter>({});
  const [cursors, setCursors] = useState<string[]>([]);
  const query = { ...filter, limit: pageSize, cursor: cursors.at(-1) };
  const polled = usePoll(() => get<Page>("connections", query), [JSON.stringify(query)]);

  function search(event: Event): void {
    const sent = textsOf(event);
    setCursors([]);
    setFilter(sent);
    // Also if nothing was changed.
    polled.reload();
  }
  return (
    <>
      <form class="search" role="search" onSubmit={search}>
        {fields.map((name) => (
          <label key={name}>
            {name} <input name={name} />
          </label>
        ))}
        <label>
          transport{" "}
          <select name="transport" aria-label="transport">
            <option value="">any</option>
            <option>websocket</option>
            <option>polling</option>
            <option>stream</option>
          </select>
        </label>
        <label>
          most first{" "}
          <select name="sort" aria-label="most first">
            <option value="age">age</option>
            <option value="queue">queue</option>
            <option value="channels">channels</option>
          </select>
        </label>
        <button>Search</button>
      </form>
      <Loaded of={polled}>
        {({ connections, cursor, silent }) => (
          <>
            <Silent nodes={silent} />
            {connections.length === 0 ? (
              <Empty>No connection matches.</Empty>
            ) : (
              <ConnectionTable connections={connections} onAct={polled.reload} />
            )}
            <Pages cursors={cursors} next={cursor} onChange={setCursors} />
          </>
        )}
      </Loaded>
      {mayAct() && (
        <Card title="Limits of an address">
          <ActForm label="Clear limits" act={({ address = "" }) => clearLimits({ address })}>
            <label>
              address to clear <input name="address" required />
            </label>
          </ActForm>
        </Card>
      )}
    </>
  );
}

export function ConnectionTable({
  connections,
  onAct,
}: {
  connections: readonly ConnectionSummary[];
  onAct: () => void;
}) {
  return (
    <Table
      caption="Connections"
      rows={connections}
      keyOf={({ connectionId, nodeId }) => `${nodeId} ${connectionId}`}
      columns={[
        { title: "User", cell: ({ userId }) => <a href={link("user", userId)}>{userId}</a> },
        { title: "Connection", cell: ({ connectionId }) => <code>{connectionId}</code> },
        { title: "Node", cell: ({ nodeId }) => nodeId },
        { title: "Address", cell: ({ address }) => address },
        { title: "Over", cell: ({ transport }) => transport },
        { title: "Client", cell: ({ userAgent }) => <span class="soft">{userAgent ?? "unknown"}</span> },
        { title: "Age", cell: ({ connectedAt }) => age(Date.now() - connectedAt) },
        { title: "Queued", isNumber: true, cell: ({ queuedBytes }) => bytes(queuedBytes) },
        { title: "Channels", cell: ({ channels }) => <Channels channels={channels} /> },
        {
          title: "Acts",
          cell: ({ connectionId, userId }) =>
            mayAct() ? (
              <>
                <Act
                  label="Disconnect"
                  question={`Close this connection of ${userId}? The client does not reconnect by itself.`}
                  act={async () => {
                    const path = `connections/${encodeURIComponent(connectionId)}/disconnect`;
                    const { disconnected } = await post<{ disconnected: number }>(path, {});
                    return disconnected === 0 ? "it was gone already" : "closed";
                  }}
                  onDone={onAct}
                />
                <details>
                  <summary>Ask client</summary>
                  <RequestForm path={`connections/${encodeURIComponent(connectionId)}`} />
                </details>
              </>
            ) : (
              "–"
            ),
        },
      ]}
    />
  );
}

const shownChannels = 8;

function Channels({ channels }: { channels: ConnectionSummary["channels"] }) {
  return (
    <>
      {channels.slice(0, shownChannels).map(({ channel, offset }) => (
        <span key={channel}>
          <a href={link("channel", channel)}>{channel}</a>
          {offset === undefined ? "" : ` @${offset}`}{" "}
        </span>
      ))}
      {channels.length > shownChannels && `and ${channels.length - shownChannels} more`}
    </>
  );
}
