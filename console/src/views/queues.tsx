import { useEffect, useState } from "preact/hooks";
import { get, post, remove } from "../api.ts";
import { textsOf } from "../form.ts";
import { age, bytes, number, time } from "../format.ts";
import { Act, Card, Empty, link, Loaded, Pages, Payload, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { usePoll } from "../use-poll.ts";

interface WaitingEndpoint {
  to: string;
  waiting: number;
  queues: number;
  next: { entity: string; tries: number; nextAt: number }[];
}

interface Queues {
  commands: { undelivered: number; pending: { consumer: string; count: number }[]; lagMs: number };
  deadLetters: { commands: number; webhooks: number; outbox?: number };
  outbox?: { lagSeconds: number };
  webhooks: { waiting: number; endpoints: WaitingEndpoint[] };
}

interface Scheduled {
  scheduleId: string;
  publishAt: number;
  channel: string;
  event: string;
  data?: unknown;
}

interface Letter {
  id: string;
  at: number;
  code: string;
  reason: string;
  tries: number;
  type?: string;
  bytes: number;
  command?: string;
}

type Filter = Partial<Record<"code" | "type" | "reason", string> & Record<"since" | "until", number>>;

export function QueuesView() {
  const polled = usePoll(() => get<Queues>("queues"), [], 3_000);
  return (
    <>
      <Loaded of={polled}>
        {({ commands: { undelivered, pending, lagMs }, deadLetters, outbox, webhooks }) => (
          <dl class="sums">
            <div>
              <dt>Commands not read</dt>
              <dd>{number(undelivered)}</dd>
            </div>
            <div>
              <dt>Commands in progress</dt>
              <dd>{number(pending.reduce((sum, { count }) => sum + count, 0))}</dd>
              {pending.map(({ consumer, count }) => (
                <dd key={consumer} class="soft">
                  {consumer}: {number(count)}
                </dd>
              ))}
            </div>
            <div>
              <dt>Oldest command</dt>
              <dd>{lagMs === 0 ? "none" : age(lagMs)}</dd>
            </div>
            {outbox !== undefined && (
              <div>
                <dt>Oldest in the outbox</dt>
                <dd>{outbox.lagSeconds === 0 ? "none" : age(outbox.lagSeconds * 1_000)}</dd>
              </div>
            )}
            <div>
              <dt>Webhooks that wait</dt>
              <dd>{number(webhooks.waiting)}</dd>
            </div>
            <div>
              <dt>Dead commands</dt>
              <dd>{number(deadLetters.commands)}</dd>
            </div>
            <div>
              <dt>Dead webhooks</dt>
              <dd>{number(deadLetters.webhooks)}</dd>
            </div>
            {deadLetters.outbox !== undefined && (
              <div>
                <dt>Dead in the outbox</dt>
                <dd>{number(deadLetters.outbox)}</dd>
              </div>
            )}
          </dl>
        )}
      </Loaded>
      {polled.data?.webhooks.endpoints.map((endpoint) => (
        <WaitingWebhooks key={endpoint.to} endpoint={endpoint} />
      ))}
      <DeadLetters counts={polled.data?.deadLetters} />
      <ScheduledPublications />
    </>
  );
}

function WaitingWebhooks({ endpoint: { to, waiting, queues, next } }: { endpoint: WaitingEndpoint }) {
  return (
    <Card title={`Webhooks to ${to}`}>
      <p>
        {number(waiting)} in {number(queues)} queues
      </p>
      {next.length > 0 && (
        <Table
          caption={`Next to ${to}`}
          rows={next}
          keyOf={({ entity }) => entity}
          columns={[
            { title: "About", cell: ({ entity }) => entity },
            { title: "Failed attempts", isNumber: true, cell: ({ tries }) => tries },
            { title: "Next", cell: ({ nextAt }) => time(nextAt) },
          ]}
        />
      )}
    </Card>
  );
}

function ScheduledPublications() {
  const [cursors, setCursors] = useState<string[]>([]);
  const query = { limit: 50, cursor: cursors.at(-1) };
  const polled = usePoll(
    () => get<{ scheduled: Scheduled[]; cursor?: string }>("scheduled", query),
    [JSON.stringify(query)],
    5_000,
  );
  return (
    <Card title="Scheduled publications">
      <Loaded of={polled}>
        {({ scheduled, cursor }) => (
          <>
            {scheduled.length === 0 ? (
              <Empty>Nothing is scheduled.</Empty>
            ) : (
              <ScheduledTable scheduled={scheduled} onDone={polled.reload} />
            )}
            <Pages cursors={cursors} next={cursor} onChange={setCursors} />
          </>
        )}
      </Loaded>
    </Card>
  );
}

function ScheduledTable({ scheduled, onDone }: { scheduled: readonly Scheduled[]; onDone: () => void }) {
  const cancel = async (id: string): Promise<string> =>
    (await remove<{ removed: boolean }>(`scheduled/${id}`)).removed ? "cancelled" : "it was published already";
  return (
    <Table
      caption="Scheduled publications"
      rows={scheduled}
      keyOf={({ scheduleId }) => scheduleId}
      columns={[
        { title: "At", cell: ({ publishAt }) => `${time(publishAt)} (in ${age(publishAt - Date.now())})` },
        { title: "Channel", cell: ({ channel }) => <a href={link("channel", channel)}>{channel}</a> },
        { title: "Event", cell: ({ event }) => event },
        { title: "Data", cell: ({ data }) => <Payload value={data} /> },
        {
          title: "Acts",
          cell: ({ scheduleId, channel }) =>
            mayAct() ? (
              <Act
                label="Cancel publication"
                question={`Cancel this publication to ${channel}?`}
                act={() => cancel(scheduleId)}
                onDone={onDone}
              />
            ) : (
              "–"
            ),
        },
      ]}
    />
  );
}

/** As every other time in the console, without an offset. */
const timeIn = (text: string): number => Date.parse(`${text}Z`);

type Source = keyof Queues["deadLetters"];

/** Listed again whenever their count changes, so that the list never lags behind the sums above it. */
function DeadLetters({ counts }: { counts: Queues["deadLetters"] | undefined }) {
  const [of, setOf] = useState<Source>("commands");
  const [filter, setFilter] = useState<Filter>({});
  const polled = usePoll(
    () => get<{ letters: Letter[] }>("dead-letters", { of, ...filter }),
    [of, JSON.stringify(filter)],
  );
  const count = counts?.[of];
  useEffect(() => void (count !== undefined && polled.reload()), [count]);

  function search(event: Event): void {
    const { of: source = "commands", since = "", until = "", ...given } = textsOf(event);
    const times = Object.entries({ since, until }).map(([name, text]) => [name, text === "" ? "" : timeIn(text)]);
    setOf(source === "webhooks" || source === "outbox" ? source : "commands");
    setFilter(Object.fromEntries([...Object.entries(given), ...times].filter(([, value]) => value !== "")));
    polled.reload();
  }
  const act = async (what: "replay" | "remove"): Promise<string> => {
    const { done, more } = await post<{ done: number; more: boolean }>(`dead-letters/${what}`, { of, filter });
    return `${number(done)} ${what === "replay" ? "replayed" : "removed"}${more ? "; there are more" : ""}`;
  };
  return (
    <Card title="Dead letters">
      <form class="search" role="search" onSubmit={search}>
        <label>
          of{" "}
          <select name="of" aria-label="of">
            <option>commands</option>
            <option>webhooks</option>
            {counts?.outbox !== undefined && <option>outbox</option>}
          </select>
        </label>
        {(["code", "type", "reason"] as const).map((name) => (
          <label key={name}>
            {name} <input name={name} />
          </label>
        ))}
        {(["since", "until"] as const).map((name) => (
          <label key={name}>
            {name} (UTC) <input name={name} type="datetime-local" />
          </label>
        ))}
        <button>Filter</button>
      </form>
      <Loaded of={polled}>
        {({ letters }) =>
          letters.length === 0 ? <Empty>There are no dead letters of this kind.</Empty> : <Letters letters={letters} />
        }
      </Loaded>
      {mayAct() && (
        <p class="acts">
          <Act
            label="Replay all that match"
            question={`Process all dead ${of} that match the filter again?`}
            act={() => act("replay")}
            onDone={polled.reload}
          />{" "}
          <Act
            label="Remove all that match"
            question={`Remove all dead ${of} that match the filter? They cannot be brought back.`}
            act={() => act("remove")}
            onDone={polled.reload}
          />
        </p>
      )}
    </Card>
  );
}

function Letters({ letters }: { letters: readonly Letter[] }) {
  return (
    <Table
      caption="Dead letters"
      rows={letters}
      keyOf={({ id }) => id}
      columns={[
        { title: "At", cell: ({ at }) => time(at) },
        { title: "Type", cell: ({ type }) => type ?? "–" },
        { title: "Code", cell: ({ code }) => code },
        { title: "Reason", cell: ({ reason }) => reason },
        { title: "Tries", isNumber: true, cell: ({ tries }) => tries },
        { title: "Size", isNumber: true, cell: (row) => bytes(row.bytes) },
        {
          title: "Content",
          cell: ({ command }) =>
            command === undefined ? (
              <span class="soft">masked</span>
            ) : (
              <code class="payload">{command.slice(0, 300)}</code>
            ),
        },
      ]}
    />
  );
}
