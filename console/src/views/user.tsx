import { get, post } from "../api.ts";
import { age, time } from "../format.ts";
import { Act, Card, Empty, Loaded, Silent, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { Lookup } from "../lookup.tsx";
import { usePoll } from "../use-poll.ts";
import type { ConnectionSummary } from "../../../src/protocol/operator.ts";
import { ConnectionTable } from "./connections.tsx";
import { Refusals } from "./refusals.tsx";

interface User {
  userId: string;
  sessions: {
    sessionId: string;
    createdAt: number;
    lastSeenAt: number;
    expiresAt: number;
    userAgent?: string;
    roles: string[];
    channels: { subscribe: string[]; publish: string[] };
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
      {({ sessions, connections, silent }) => (
        <>
          <Silent nodes={silent} />
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
            {sessions.length === 0 ? <Empty>No session.</Empty> : <Sessions sessions={sessions} />}
          </Card>
          <Card title="Refusals and closings">
            <Refusals query={{ user: userId }} />
          </Card>
        </>
      )}
    </Loaded>
  );
}

function Sessions({ sessions }: Pick<User, "sessions">) {
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
          cell: ({ channels: { subscribe, publish } }) =>
            [...subscribe.map((name) => `subscribe ${name}`), ...publish.map((name) => `publish ${name}`)].join(", ") ||
            "none",
        },
      ]}
    />
  );
}
