import { useEffect, useState } from "preact/hooks";
import { ApiError, get, messageOf, post, remove } from "../api.ts";
import { textsOf } from "../form.ts";
import { age, number, time } from "../format.ts";
import { Card, Empty, link, Loaded, Silent, Table } from "../parts.tsx";
import { mayAct, noteFailure } from "../session.ts";
import { usePoll } from "../use-poll.ts";

interface LiveTrace {
  traceId: string;
  userId?: string;
  connectionId?: string;
  channel?: string;
  startedBy: string;
  endsAt: number;
}

interface TracedEvent {
  nodeId: string;
  at: number;
  place: number;
  kind: string;
  step?: string;
  userId?: string;
  connectionId?: string;
  connectionIds?: string[];
  channel?: string;
  event?: string;
  args?: string;
  answer?: string;
  ms?: number;
  code?: string;
  rule?: string;
  detail?: string;
  path?: string;
  position?: { epoch: string; offset: number };
  receivers?: number;
  recovered?: boolean;
  from?: string;
  to?: string;
  missed?: number;
  address?: string;
  transport?: string;
}

interface Page {
  trace: LiveTrace;
  events: TracedEvent[];
  cursor?: string;
  skipped: number;
  hasEnded: boolean;
  silent: string[];
}

const pollMs = 1_000;
const maxShown = 500;

export function TraceView({ traceId }: { traceId: string }) {
  return traceId === "" ? <Traces /> : <Trace key={traceId} traceId={traceId} />;
}

const subjectOf = ({ userId, connectionId, channel }: LiveTrace): string =>
  userId === undefined
    ? connectionId === undefined
      ? `channel ${channel}`
      : `connection ${connectionId}`
    : `user ${userId}`;

/** The form that starts one, and those that run. */
function Traces() {
  const polled = usePoll(() => get<{ traces: LiveTrace[]; silent: string[] }>("traces"), [], 3_000);
  const [error, setError] = useState<string>();

  async function start(event: Event): Promise<void> {
    const { by = "userId", name = "" } = textsOf(event);
    try {
      const { traceId } = await post<LiveTrace>("traces", { [by]: name });
      location.hash = link("trace", traceId);
    } catch (failure) {
      setError(messageOf(failure));
    }
  }
  return (
    <>
      {mayAct() && (
        <Card title="Start a trace">
          <form class="search" onSubmit={(event) => void start(event)}>
            <label>
              of a{" "}
              <select name="by" aria-label="of a">
                <option value="userId">user</option>
                <option value="connectionId">connection</option>
                <option value="channel">channel</option>
              </select>
            </label>
            <label class="wide">
              name or id <input name="name" required autocomplete="off" />
            </label>
            <button>Start</button>
          </form>
          {error !== undefined && (
            <p class="alert" role="alert">
              {error}
            </p>
          )}
        </Card>
      )}
      <Card title="Running traces">
        <Loaded of={polled}>
          {({ traces, silent }) => (
            <>
              <Silent nodes={silent} />
              {traces.length === 0 ? <Empty>Nobody traces anything.</Empty> : <Running traces={traces} />}
            </>
          )}
        </Loaded>
      </Card>
    </>
  );
}

function Running({ traces }: { traces: readonly LiveTrace[] }) {
  return (
    <Table
      caption="Running traces"
      rows={traces}
      keyOf={({ traceId }) => traceId}
      columns={[
        { title: "Of", cell: (trace) => <a href={link("trace", trace.traceId)}>{subjectOf(trace)}</a> },
        { title: "Started by", cell: ({ startedBy }) => startedBy },
        { title: "Ends in", cell: ({ endsAt }) => age(endsAt - Date.now()) },
      ]}
    />
  );
}

interface Followed {
  page?: Page;
  events: readonly TracedEvent[];
  error?: string;
}

/** What happened so far, and what happens; pauses while the page is hidden. */
function useTrace(traceId: string): Followed {
  const [followed, setFollowed] = useState<Followed>({ events: [] });
  useEffect(() => {
    let isCurrent = true;
    let cursor: string | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    async function poll(): Promise<void> {
      try {
        const page = document.hidden ? undefined : await get<Page>(`traces/${traceId}`, { cursor });
        if (!isCurrent) return;
        cursor = page?.cursor ?? cursor;
        if (page !== undefined)
          setFollowed(({ events }) => ({ page, events: [...page.events.toReversed(), ...events].slice(0, maxShown) }));
        if (page?.hasEnded === true && page.events.length === 0) return;
      } catch (error) {
        noteFailure(error);
        if (!isCurrent) return;
        setFollowed((before) => ({ ...before, error: messageOf(error) }));
        if (error instanceof ApiError && error.status === 404) return;
      }
      timer = setTimeout(() => void poll(), pollMs);
    }
    void poll();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [traceId]);
  return followed;
}

function Trace({ traceId }: { traceId: string }) {
  const { page, events, error } = useTrace(traceId);
  if (page === undefined && error === undefined) return <p class="state">Loading …</p>;
  return (
    <>
      {error !== undefined && (
        <p class="alert" role="alert">
          {error} {events.length > 0 && "What is shown below is from before."}
        </p>
      )}
      <p>
        <a href={link("trace")}>All traces</a>
      </p>
      {page !== undefined && (
        <Card title={subjectOf(page.trace)}>
          <Silent nodes={page.silent} />
          <p class="acts">
            <span role="status">
              {page.hasEnded ? "This trace has ended." : `Ends in ${age(page.trace.endsAt - Date.now())}.`}{" "}
              {page.skipped > 0 && `${number(page.skipped)} more were not recorded: too many at once.`}
            </span>{" "}
            {mayAct() && !page.hasEnded && (
              <button type="button" onClick={() => void remove(`traces/${traceId}`).catch(noteFailure)}>
                Stop
              </button>
            )}
          </p>
          {events.length === 0 ? <Empty>Nothing has happened yet.</Empty> : <Events events={events} />}
        </Card>
      )}
    </>
  );
}

function Events({ events }: { events: readonly TracedEvent[] }) {
  return (
    <Table
      caption="Events, newest first"
      rows={events}
      keyOf={({ nodeId, place }) => `${nodeId} ${place}`}
      columns={[
        { title: "At", cell: ({ at }) => `${time(at).slice(11)}.${String(at % 1_000).padStart(3, "0")}` },
        { title: "Node", cell: ({ nodeId }) => nodeId },
        { title: "What", cell: ({ kind, step }) => (step === undefined ? kind : `${kind}: ${step}`) },
        { title: "Event", cell: ({ event }) => event ?? "" },
        { title: "Channel", cell: ({ channel }) => channel && <a href={link("channel", channel)}>{channel}</a> },
        { title: "User", cell: ({ userId }) => userId && <a href={link("user", userId)}>{userId}</a> },
        { title: "Connection", cell: ({ connectionId, connectionIds }) => connectionId ?? connectionIds?.join(", ") },
        { title: "Outcome", cell: (event) => outcomeOf(event) },
        { title: "ms", isNumber: true, cell: ({ ms }) => ms ?? "" },
        {
          title: "Content",
          cell: ({ args, answer }) => (
            <>
              {args !== undefined && <code class="payload">{args}</code>}
              {answer !== undefined && <code class="payload">→ {answer}</code>}
            </>
          ),
        },
      ]}
    />
  );
}

function outcomeOf({ recovered, missed, position, receivers, ...event }: TracedEvent): string {
  const parts = [
    event.code,
    event.rule,
    recovered === undefined ? undefined : recovered ? `recovered ${missed} missed` : "not recovered",
    event.from === undefined ? undefined : `from ${event.from}${event.to === undefined ? "" : ` to ${event.to}`}`,
    event.detail,
    position === undefined ? undefined : `${position.epoch}:${position.offset}`,
    event.path,
    receivers === undefined ? undefined : `${receivers} connections`,
    event.transport,
    event.address,
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}
