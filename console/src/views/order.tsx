import { useState } from "preact/hooks";
import type { OperatorOrder } from "../../../src/protocol/operator-services.ts";
import { ApiError, get, post } from "../api.ts";
import { textsOf } from "../form.ts";
import { age, time } from "../format.ts";
import { Lookup } from "../lookup.tsx";
import { Act, Card, Empty, link, Loaded, Table } from "../parts.tsx";
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

/** Two forms: an event, and a party. What was typed stays if it is refused. */
function Changes({ path, onDone }: { path: string; onDone: () => void }) {
  const [outcome, setOutcome] = useState<string>();
  async function send(event: Event, target: string, bodyOf: (texts: Record<string, string>) => object): Promise<void> {
    try {
      const answer = await post<object>(`${path}/${target}`, bodyOf(textsOf(event)));
      setOutcome("applied" in answer && answer.applied === false ? "not applied yet: see held events" : "done");
      onDone();
    } catch (error) {
      setOutcome(error instanceof ApiError ? error.message : String(error));
    }
  }
  return (
    <Card title="Change it">
      <form class="search" onSubmit={(event) => void send(event, "events", ({ status }) => ({ status }))}>
        <label>
          status <input name="status" required />
        </label>
        <button>Send event</button>
      </form>
      <form
        class="search"
        onSubmit={(event) => void send(event, "parties", ({ role = "", user = "" }) => ({ parties: { [role]: user } }))}
      >
        <label>
          role <input name="role" required />
        </label>
        <label>
          user <input name="user" required />
        </label>
        <button>Set party</button>
      </form>
      <p role="status">{outcome}</p>
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
        { title: "Update", cell: ({ update }) => update && <code>{JSON.stringify(update).slice(0, 400)}</code> },
        {
          title: "Data",
          cell: ({ data }) =>
            data === undefined ? <span class="soft">masked</span> : <code>{JSON.stringify(data).slice(0, 400)}</code>,
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
