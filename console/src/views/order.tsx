import type { OperatorOrder } from "../../../src/protocol/operator/operator-services.ts";
import { get, post } from "../api.ts";
import { age, time } from "../format.ts";
import { Lookup } from "../lookup.tsx";
import { Act, ActForm, Card, Empty, link, Loaded, Payload, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { usePoll } from "../use-poll.ts";

export function OrderView({ orderId }: { orderId: string }) {
  return (
    <>
      <Lookup view="order" label="Order" value={orderId} />
      {orderId === "" ? <Empty>Enter an order's id.</Empty> : <OrderDetails key={orderId} orderId={orderId} />}
    </>
  );
}

function OrderDetails({ orderId }: { orderId: string }) {
  const path = `orders/${encodeURIComponent(orderId)}`;
  const polled = usePoll(() => get<OperatorOrder>(path), [path], 3_000);
  return (
    <Loaded of={polled}>
      {(found) => (
        <>
          <Card title="Status and parties">
            <p>
              <span class="badge ready">{found.order.status}</span> at sequence {found.order.sequence}, since{" "}
              {time(found.order.updatedAt)} · <a href={link("channel", `order:${orderId}`)}>its channel</a>
            </p>
            <Parties parties={found.order.parties} path={path} onDone={polled.reload} />
            {found.order.data !== undefined && <pre>{JSON.stringify(found.order.data, null, 2).slice(0, 2_000)}</pre>}
          </Card>
          {mayAct() && <Changes path={path} onDone={polled.reload} />}
          <Card title="Timeline">
            <Timeline timeline={found.timeline} />
          </Card>
          <Waiting found={found} />
        </>
      )}
    </Loaded>
  );
}

function Parties({ parties, path, onDone }: { parties: Record<string, string>; path: string; onDone: () => void }) {
  const removed = async (role: string): Promise<string> => {
    const { nodes, acknowledged } = await post<{ nodes: number; acknowledged: number }>(`${path}/parties`, {
      parties: { [role]: null },
    });
    return `removed; ${acknowledged} of ${nodes} nodes confirmed`;
  };
  return (
    <Table
      caption="Parties"
      rows={Object.entries(parties)}
      keyOf={([role]) => role}
      columns={[
        { title: "Role", cell: ([role]) => role },
        { title: "User", cell: ([, userId]) => <a href={link("user", userId)}>{userId}</a> },
        {
          title: "Acts",
          cell: ([role, userId]) =>
            mayAct() &&
            role !== "customer" && (
              <Act
                label={`Remove ${role}`}
                question={`Remove ${userId} from this order? The subscriptions end on all nodes.`}
                act={() => removed(role)}
                onDone={onDone}
              />
            ),
        },
      ]}
    />
  );
}

function Changes({ path, onDone }: { path: string; onDone: () => void }) {
  async function move({ status }: Record<string, string>): Promise<string> {
    const { applied } = await post<{ applied: boolean }>(`${path}/events`, { status });
    return applied ? "done" : "not applied yet: see held events";
  }
  const setParty = ({ role = "", user = "" }: Record<string, string>): Promise<string> =>
    post(`${path}/parties`, { parties: { [role]: user } }).then(() => "done");
  return (
    <Card title="Change it">
      <ActForm label="Send event" act={move} onDone={onDone}>
        <label>
          status <input name="status" required />
        </label>
      </ActForm>
      <ActForm label="Set party" act={setParty} onDone={onDone}>
        <label>
          role <input name="role" required />
        </label>
        <label>
          user <input name="user" required />
        </label>
      </ActForm>
    </Card>
  );
}

function Timeline({ timeline }: Pick<OperatorOrder, "timeline">) {
  return (
    <Table
      caption="Timeline, newest first"
      rows={timeline.toReversed().map((entry, index) => ({ ...entry, index }))}
      keyOf={({ index }) => `${timeline.length - index}`}
      columns={[
        { title: "Sequence", isNumber: true, cell: ({ sequence }) => sequence },
        { title: "At", cell: ({ occurredAt }) => time(occurredAt) },
        { title: "Status", cell: ({ status, previousStatus }) => `${previousStatus ?? "created"} → ${status}` },
        {
          title: "Update",
          cell: ({ update }) => update && <code class="payload">{JSON.stringify(update).slice(0, 400)}</code>,
        },
        {
          title: "Data",
          cell: ({ data }) => <Payload value={data} />,
        },
      ]}
    />
  );
}

function Waiting({ found: { held, refused, outbox, checks } }: { found: OperatorOrder }) {
  return (
    <>
      <Card title="Held events">
        {held.length === 0 ? (
          <Empty>No event waits for an earlier one.</Empty>
        ) : (
          <Table
            caption="Held events"
            rows={held}
            keyOf={({ sequence }) => `${sequence}`}
            columns={[
              { title: "Sequence", isNumber: true, cell: ({ sequence }) => sequence },
              { title: "Status", cell: ({ status }) => status },
              { title: "Waits for", cell: ({ waitsFor }) => `event ${waitsFor}` },
              { title: "Until", cell: ({ until }) => `${time(until)} (${age(until - Date.now())})` },
            ]}
          />
        )}
        {refused.length > 0 && (
          <p>Illegal events: {refused.map(({ sequence, status }) => `${sequence} (${status})`).join(", ")}</p>
        )}
      </Card>
      <Card title="Outbox and due checks">
        {outbox.length + checks.length === 0 ? (
          <Empty>Everything was delivered, and nothing is scheduled.</Empty>
        ) : (
          <ul>
            {outbox.map((item) => (
              <li key={item.number}>
                notification {item.number} ({item.kind}) is not delivered
              </li>
            ))}
            {checks.map(({ kind, dueAt }) => (
              <li key={`${kind} ${dueAt}`}>
                check “{kind}” at {time(dueAt)}
              </li>
            ))}
          </ul>
        )}
      </Card>
    </>
  );
}
