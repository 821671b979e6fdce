import { get, post } from "../api.ts";
import { age, number, time } from "../format.ts";
import { Act, Card, Empty, link, Loaded, Payload, Silent, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { Lookup } from "../lookup.tsx";
import { usePoll } from "../use-poll.ts";
import type { ConnectionSummary } from "../../../src/protocol/operator/operator.ts";
import { ConnectionTable } from "./connections.tsx";
import { Refusals } from "./refusals.tsx";
import { clearLimits, SessionActs, UserActs } from "./user-acts.tsx";

interface Order {
  orderId: string;
  status: string;
  role: string;
  updatedAt: number;
}

interface Score {
  board: string;
  season: string | null;
  rank: number;
  score: number;
}

interface User {
  userId: string;
  block?: { until?: number; reason?: string };
  limits: { buckets: { limiter: string; role?: string; capacity: number; left: number }[]; refused: number };
  presence: { channel: string; connections: number; data?: unknown }[];
  orders: Order[];
  sessions: {
    sessionId: string;
    createdAt: number;
    lastSeenAt: number;
    expiresAt: number;
    userAgent?: string;
    roles: string[];
    channels: { subscribe: string[]; publish: string[] };
    granted?: string[];
  }[];
  connections: ConnectionSummary[];
  silent: string[];
}

export function UserView({ userId }: { userId: string }) {
  return (
    <>
      <Lookup view="user" label="User" value={userId} />
      {userId === "" ? <Empty>Enter a user's id.</Empty> : <UserDetails userId={userId} />}
    </>
  );
}

function UserDetails({ userId }: { userId: string }) {
  const path = `users/${encodeURIComponent(userId)}`;
  const polled = usePoll(() => get<User>(path), [path], 5_000);
  const count = async (act: string, name: "disconnected" | "revoked"): Promise<string> =>
    `${(await post<Record<string, number>>(`${path}/${act}`, act === "disconnect" ? {} : undefined))[name]} ${name}`;
  return (
    <Loaded of={polled}>
      {({ sessions, connections, silent, block, limits, presence, orders }) => (
        <>
          <Silent nodes={silent} />
          {block !== undefined && (
            <p class="alert" role="status">
              Blocked {block.until === undefined ? "until somebody unblocks" : `until ${time(block.until)}`}
              {block.reason === undefined ? "." : `: ${block.reason}`}
            </p>
          )}
          {mayAct() && (
            <p class="acts">
              <Act
                label="Disconnect user"
                question={`Close all connections of ${userId}? The sessions stay.`}
                act={() => count("disconnect", "disconnected")}
                onDone={polled.reload}
              />{" "}
              <Act
                label="Revoke all sessions"
                question={`End all sessions of ${userId} and close the connections?`}
                act={() => count("revoke", "revoked")}
                onDone={polled.reload}
              />
            </p>
          )}
          <Card title="Connections">
            {connections.length === 0 ? (
              <Empty>Not connected.</Empty>
            ) : (
              <ConnectionTable connections={connections} onAct={polled.reload} />
            )}
          </Card>
          <Card title="Sessions">
            {sessions.length === 0 ? (
              <Empty>No session.</Empty>
            ) : (
              <Sessions sessions={sessions} onDone={polled.reload} />
            )}
          </Card>
          {mayAct() && <UserActs userId={userId} path={path} isBlocked={block !== undefined} onDone={polled.reload} />}
          <div class="columns">
            <Limits limits={limits} userId={userId} onDone={polled.reload} />
            <Card title="Presence">
              {presence.length === 0 ? <Empty>Present in no channel.</Empty> : <Presence presence={presence} />}
            </Card>
            <Card title="Last orders">
              {orders.length === 0 ? <Empty>No order.</Empty> : <Orders orders={orders} />}
            </Card>
            <Card title="Scores">
              <Scores path={path} />
            </Card>
          </div>
          <Card title="Refusals and closings">
            <Refusals query={{ user: userId }} />
          </Card>
        </>
      )}
    </Loaded>
  );
}

function Limits({ limits, userId, onDone }: Pick<User, "limits" | "userId"> & { onDone: () => void }) {
  return (
    <Card title="Limits">
      <Table
        caption="Limits"
        rows={limits.buckets}
        keyOf={({ limiter, role }) => `${limiter} ${role}`}
        columns={[
          { title: "Limit", cell: ({ limiter, role }) => (role === undefined ? limiter : `${limiter} of ${role}`) },
          { title: "Left", isNumber: true, cell: ({ left }) => number(left) },
          { title: "Of", isNumber: true, cell: ({ capacity }) => number(capacity) },
        ]}
      />
      <p class="soft">{number(limits.refused)} requests were refused in the last minute.</p>
      {mayAct() && (
        <p class="acts">
          <Act
            label="Clear limits"
            question={`Forget what limits have counted of ${userId}, so that they are full again?`}
            act={() => clearLimits({ userId })}
            onDone={onDone}
          />
        </p>
      )}
    </Card>
  );
}

function Presence({ presence }: Pick<User, "presence">) {
  return (
    <Table
      caption="Presence"
      rows={presence}
      keyOf={({ channel }) => channel}
      columns={[
        { title: "Channel", cell: ({ channel }) => <a href={link("channel", channel)}>{channel}</a> },
        { title: "Connections", isNumber: true, cell: ({ connections }) => number(connections) },
        { title: "Data", cell: ({ data }) => (data === undefined ? "–" : <Payload value={data} />) },
      ]}
    />
  );
}

function Orders({ orders }: Pick<User, "orders">) {
  return (
    <Table
      caption="Last orders"
      rows={orders}
      keyOf={({ orderId }) => orderId}
      columns={[
        { title: "Order", cell: ({ orderId }) => <a href={link("order", orderId)}>{orderId}</a> },
        { title: "Role", cell: ({ role }) => role },
        { title: "Status", cell: ({ status }) => status },
        { title: "Updated", cell: ({ updatedAt }) => `${age(Date.now() - updatedAt)} ago` },
      ]}
    />
  );
}

/** Read once: it asks all boards. */
function Scores({ path }: { path: string }) {
  const polled = usePoll(() => get<{ scores: Score[] }>(`${path}/scores`), [path]);
  return (
    <Loaded of={polled}>
      {({ scores }) =>
        scores.length === 0 ? (
          <Empty>No score on any board.</Empty>
        ) : (
          <Table
            caption="Scores"
            rows={scores}
            keyOf={({ board, season }) => `${board} ${season}`}
            columns={[
              { title: "Board", cell: ({ board }) => <a href={link("board", board)}>{board}</a> },
              { title: "Season", cell: ({ season }) => season ?? "–" },
              { title: "Rank", isNumber: true, cell: ({ rank }) => number(rank) },
              { title: "Score", isNumber: true, cell: ({ score }) => number(score) },
            ]}
          />
        )
      }
    </Loaded>
  );
}

function Sessions({ sessions, onDone }: Pick<User, "sessions"> & { onDone: () => void }) {
  return (
    <Table
      caption="Sessions"
      rows={sessions}
      keyOf={({ sessionId }) => sessionId}
      columns={[
        { title: "Session", cell: ({ sessionId }) => <code>{sessionId}</code> },
        { title: "Device", cell: ({ userAgent }) => userAgent ?? "unknown" },
        { title: "Seen", cell: ({ lastSeenAt }) => `${age(Date.now() - lastSeenAt)} ago` },
        { title: "Until", cell: ({ expiresAt }) => time(expiresAt) },
        { title: "Roles", cell: ({ roles }) => roles.join(", ") || "none" },
        {
          title: "Grants",
          cell: ({ channels: { subscribe, publish }, granted = [] }) =>
            [
              ...subscribe.map((name) => `subscribe ${name}`),
              ...publish.map((name) => `publish ${name}`),
              ...granted.map((name) => `subscribe ${name} (by the server)`),
            ].join(", ") || "none",
        },
        { title: "Acts", cell: (session) => (mayAct() ? <SessionActs session={session} onDone={onDone} /> : "–") },
      ]}
    />
  );
}
