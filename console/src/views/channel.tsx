import { useState } from "preact/hooks";
import { get, post, remove } from "../api.ts";
import { jsonOf } from "../form.ts";
import { age, bytes, number, time } from "../format.ts";
import { Act, ActForm, Card, Empty, link, Loaded, Payload, Silent, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { Lookup } from "../lookup.tsx";
import { usePoll } from "../use-poll.ts";

interface StateKey {
  key: string;
  updatedAt: number;
  userId?: string;
  value?: unknown;
}

interface Channel {
  channel: string;
  kind: string;
  rules: Record<string, unknown>;
  epoch?: string;
  offset?: number;
  log: { size: number; oldestAt?: number };
  subscribers: { nodeId: string; subscribers: number; queuedBytes: number; offset?: number }[];
  members?: { count: number; userIds: string[] };
  state?: { revision: number; count: number; keys: StateKey[] };
  publications: { offset: number; event: string; publishedAt: number; bytes: number; data?: unknown }[];
  silent: string[];
}

export function ChannelView({ channel }: { channel: string }) {
  return (
    <>
      <Lookup view="channel" label="Channel" value={channel} />
      {channel === "" ? <Empty>Enter a channel's name.</Empty> : <ChannelDetails key={channel} channel={channel} />}
    </>
  );
}

function ChannelDetails({ channel }: { channel: string }) {
  const path = `channels/${encodeURIComponent(channel)}`;
  const [before, setBefore] = useState<number>();
  // Older publications do not change.
  const polled = usePoll(
    () => get<Channel>(path, { before }),
    [path, before],
    before === undefined ? 3_000 : undefined,
  );
  return (
    <Loaded of={polled}>
      {({ kind, rules, epoch, offset, log, subscribers, publications, members, state, silent }) => (
        <>
          <Silent nodes={silent} />
          <Card title="Position and rules">
            <p>
              Offset <strong>{offset}</strong> of epoch <code>{epoch}</code>; {number(log.size)} kept
              {log.oldestAt !== undefined && `, the oldest is ${age(Date.now() - log.oldestAt)} old`}
              {before === undefined && rateOf(publications)}
            </p>
            <Rules kind={kind} rules={rules} />
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
          {members !== undefined && <Members members={members} />}
          {state !== undefined && <State state={state} />}
          <Card title={before === undefined ? "Latest publications" : `Publications before ${before}`}>
            {publications.length === 0 ? (
              <Empty>{before === undefined ? "The log is empty." : "Nothing older is kept."}</Empty>
            ) : (
              <Publications publications={publications} />
            )}
            <p class="pages">
              <button type="button" disabled={before === undefined} onClick={() => setBefore(undefined)}>
                Newest
              </button>{" "}
              <button
                type="button"
                disabled={(publications[0]?.offset ?? 1) <= 1}
                onClick={() => setBefore(publications[0]?.offset)}
              >
                Older
              </button>
            </p>
          </Card>
          {mayAct() && <ChannelActs channel={channel} path={path} onDone={polled.reload} />}
        </>
      )}
    </Loaded>
  );
}

/** Of the publications that are shown. */
function rateOf(publications: Channel["publications"]): string {
  const [first, last] = [publications[0], publications.at(-1)];
  if (first === undefined || last === undefined || last.publishedAt === first.publishedAt) return "";
  const minutes = (last.publishedAt - first.publishedAt) / 60_000;
  return `; lately ${number(Math.round(((publications.length - 1) / minutes) * 10) / 10)} a minute`;
}

function Rules({ kind, rules }: Pick<Channel, "kind" | "rules">) {
  return (
    <Table
      caption={`Rules of the kind ${kind}`}
      rows={Object.entries(rules)}
      keyOf={([name]) => name}
      columns={[
        { title: `Rules of ${kind}`, cell: ([name]) => name },
        { title: "Value", cell: ([, value]) => <code class="payload">{JSON.stringify(value)}</code> },
      ]}
    />
  );
}

function Members({ members: { count, userIds } }: { members: NonNullable<Channel["members"]> }) {
  return (
    <Card title="Presence">
      {count === 0 ? (
        <Empty>Nobody is present.</Empty>
      ) : (
        <p>
          {userIds.map((userId) => (
            <span key={userId}>
              <a href={link("user", userId)}>{userId}</a>{" "}
            </span>
          ))}
          {count > userIds.length && `and ${number(count - userIds.length)} more`}
        </p>
      )}
    </Card>
  );
}

function State({ state: { revision, count, keys } }: { state: NonNullable<Channel["state"]> }) {
  return (
    <Card title={`State at revision ${revision}`}>
      {count === 0 ? (
        <Empty>No key is set.</Empty>
      ) : (
        <Table
          caption="State"
          rows={keys}
          keyOf={({ key }) => key}
          columns={[
            { title: "Key", cell: ({ key }) => key },
            { title: "Set", cell: ({ updatedAt }) => time(updatedAt) },
            {
              title: "By",
              cell: ({ userId }) => (userId === undefined ? "a backend" : <a href={link("user", userId)}>{userId}</a>),
            },
            { title: "Value", cell: ({ value }) => <Payload value={value} /> },
          ]}
        />
      )}
      {count > keys.length && <p class="soft">{number(count - keys.length)} more keys are not shown.</p>}
    </Card>
  );
}

function ChannelActs({ channel, path, onDone }: { channel: string; path: string; onDone: () => void }) {
  async function publish({ event = "", data }: Record<string, string>): Promise<string> {
    const body = { channel, event, data: jsonOf("data", data) ?? null };
    return `published at offset ${(await post<{ offset: number }>("publish", body)).offset}`;
  }
  return (
    <Card title="Acts">
      <ActForm label="Publish" act={publish} onDone={onDone}>
        <label>
          event <input name="event" required />
        </label>
        <label class="wide">
          data, as JSON <input name="data" placeholder="null" />
        </label>
      </ActForm>
      <p class="acts">
        <Act
          label="Delete history"
          question={`Delete all publications of ${channel}? Nobody can recover across this; subscribers begin anew.`}
          act={async () => `${number((await remove<{ removed: number }>(`${path}/history`)).removed)} removed`}
          onDone={onDone}
        />
      </p>
    </Card>
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
          cell: ({ data }) => <Payload value={data} />,
        },
      ]}
    />
  );
}
