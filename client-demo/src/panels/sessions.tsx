import { useSignal, useSignalEffect } from "@preact/signals";
import type { SessionEntry } from "../../../src/client/client.ts";
import { messageOf } from "../model/attempt.ts";
import type { Demo } from "../model/demo.ts";
import type { Panel } from "../view.ts";
import { Alert } from "../parts/alert.tsx";
import { dayAndTime, shortened } from "../parts/format.ts";

export const sessionsPanel: Panel = { id: "sessions", title: "Where you are signed in", View: SessionsView };

/** The user's sessions, in this browser and elsewhere; other sessions can be ended here. */
function SessionsView({ demo }: { demo: Demo }) {
  const sessions = useSignal<readonly SessionEntry[] | undefined>(undefined);
  const error = useSignal<string | undefined>(undefined);

  async function perform(step: () => Promise<unknown>): Promise<void> {
    error.value = undefined;
    try {
      await step();
      sessions.value = await demo.client.sessions.list();
    } catch (failure) {
      error.value = messageOf(failure);
    }
  }

  useSignalEffect(() => {
    if (demo.state.value === "connected") void perform(() => Promise.resolve());
  });

  const { revoke, revokeOthers } = demo.client.sessions;
  const list = sessions.value;
  const hasOthers = list?.some(({ current }) => !current) ?? false;
  return (
    <>
      {list === undefined && <p class="hint">Asking…</p>}
      <ul class="sessions">
        {list?.toSorted(newestFirst).map((session) => (
          <SessionRow key={session.sessionId} session={session} onEnd={(id) => void perform(() => revoke(id))} />
        ))}
      </ul>
      {list !== undefined && !hasOthers && (
        <p class="hint">Nowhere else. Sign in again in another tab to see it here.</p>
      )}
      <div class="row">
        <button type="button" onClick={() => void perform(() => Promise.resolve())}>
          Refresh
        </button>
        {hasOthers && (
          <button type="button" class="danger" onClick={() => void perform(revokeOthers)}>
            Sign out elsewhere
          </button>
        )}
      </div>
      <Alert text={error.value} />
    </>
  );
}

function SessionRow({ session, onEnd }: { session: SessionEntry; onEnd: (sessionId: string) => void }) {
  const { sessionId, connections, createdAt, current } = session;
  return (
    <li>
      <span>
        <code title={sessionId}>{shortened(sessionId)}</code> {current && <span class="tag">this one</span>}
        <span class="small">
          since {dayAndTime(createdAt)} · {connections} {connections === 1 ? "connection" : "connections"}
        </span>
      </span>
      {!current && (
        <button type="button" aria-label={`End session ${shortened(sessionId)}`} onClick={() => onEnd(sessionId)}>
          End
        </button>
      )}
    </li>
  );
}

function newestFirst(one: SessionEntry, other: SessionEntry): number {
  return Number(other.current) - Number(one.current) || other.createdAt - one.createdAt;
}
