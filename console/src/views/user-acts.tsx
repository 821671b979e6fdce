import { patch, post, put, remove } from "../api.ts";
import { jsonOf, listOf } from "../form.ts";
import { Act, ActForm, Card, confirmed } from "../parts.tsx";

interface Confirmed {
  nodes: number;
  acknowledged: number;
}

/** What an admin can do to a user, besides closing connections and ending sessions. */
export function UserActs({
  userId,
  path,
  isBlocked,
  onDone,
}: {
  userId: string;
  path: string;
  isBlocked: boolean;
  onDone: () => void;
}) {
  const channelAct = async (act: "subscribe" | "unsubscribe", channel = ""): Promise<string> => {
    const answer = await post<Confirmed & { connections: number }>(`${path}/${act}`, { channel });
    return `${answer.connections} connections ${act}d${confirmed(answer)}`;
  };
  return (
    <Card title="Acts">
      {isBlocked ? (
        <p class="acts">
          <Act
            label="Unblock"
            question={`Let ${userId} connect again?`}
            act={() => remove(`${path}/block`).then(() => "unblocked")}
            onDone={onDone}
          />
        </p>
      ) : (
        <ActForm label="Block" isDanger act={(texts) => block(path, texts)} onDone={onDone}>
          <label>
            for minutes <input name="minutes" type="number" min="1" placeholder="until unblocked" />
          </label>
          <label class="wide">
            reason, for operators <input name="reason" maxLength={500} required />
          </label>
        </ActForm>
      )}
      <ActForm label="Subscribe" act={({ channel }) => channelAct("subscribe", channel)} onDone={onDone}>
        <label class="wide">
          channel to grant and subscribe <input name="channel" required />
        </label>
      </ActForm>
      <ActForm label="Unsubscribe" isDanger act={({ channel }) => channelAct("unsubscribe", channel)} onDone={onDone}>
        <label class="wide">
          channel to end and take back <input name="channel" required />
        </label>
      </ActForm>
      <RequestForm path={path} />
    </Card>
  );
}

async function block(path: string, { minutes = "", reason = "" }: Record<string, string>): Promise<string> {
  const until = minutes === "" ? {} : { until: Date.now() + Number(minutes) * 60_000 };
  const body = { ...until, ...(reason === "" ? {} : { reason }) };
  const answer = await put<Confirmed & { disconnected: number }>(`${path}/block`, body);
  return `blocked; ${answer.disconnected} connections closed${confirmed(answer)}`;
}

/** Asks the clients of a user or of a connection, and shows what they answer. */
export function RequestForm({ path }: { path: string }) {
  async function ask({ event = "", args = "" }: Record<string, string>): Promise<string> {
    const given = jsonOf("arguments", args);
    const list = given === undefined ? [] : Array.isArray(given) ? given : [given];
    const { answers, silent } = await post<{ answers: { args: unknown[] }[]; silent: unknown[] }>(`${path}/request`, {
      event,
      args: list,
    });
    const words = answers.map((answer) => JSON.stringify(answer.args)).join(", ");
    return `${answers.length} answered${words === "" ? "" : `: ${words.slice(0, 400)}`}; ${silent.length} did not`;
  }
  return (
    <ActForm label="Ask client" act={ask}>
      <label>
        event <input name="event" required />
      </label>
      <label class="wide">
        arguments, as JSON <input name="args" placeholder="none" />
      </label>
    </ActForm>
  );
}

export async function clearLimits(subject: { userId: string } | { address: string }): Promise<string> {
  const answer = await post<Confirmed & { cleared: number }>("limits/clear", subject);
  return `${answer.cleared} cleared${confirmed(answer)}`;
}

interface Session {
  sessionId: string;
  roles: string[];
  channels: { subscribe: string[]; publish: string[] };
}

export function SessionActs({ session, onDone }: { session: Session; onDone: () => void }) {
  const { sessionId, roles, channels } = session;
  const path = `sessions/${encodeURIComponent(sessionId)}`;
  async function change(texts: Record<string, string>): Promise<string> {
    const grants = { subscribe: listOf(texts["subscribe"]), publish: listOf(texts["publish"]) };
    const answer = await patch<Confirmed>(path, { roles: listOf(texts["roles"]), channels: grants });
    return `changed${confirmed(answer)}`;
  }
  return (
    <>
      <Act
        label="Revoke"
        question={`End session ${sessionId} and close its connections?`}
        act={async () => `${(await post<{ disconnected: number }>(`${path}/revoke`)).disconnected} disconnected`}
        onDone={onDone}
      />
      <details>
        <summary>Change rights</summary>
        <ActForm label="Change rights" act={change} onDone={onDone}>
          <label class="wide">
            roles <input name="roles" defaultValue={roles.join(", ")} />
          </label>
          <label class="wide">
            may subscribe to <input name="subscribe" defaultValue={channels.subscribe.join(", ")} />
          </label>
          <label class="wide">
            may publish to <input name="publish" defaultValue={channels.publish.join(", ")} />
          </label>
        </ActForm>
      </details>
    </>
  );
}
