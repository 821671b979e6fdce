import { useEffect, useState } from "preact/hooks";
import type { OperatorBoard } from "../../../src/protocol/operator/operator-services.ts";
import { get, remove } from "../api.ts";
import { number, time } from "../format.ts";
import { Lookup } from "../lookup.tsx";
import { Act, Card, Empty, link, Loaded, Table } from "../parts.tsx";
import { mayAct } from "../session.ts";
import { usePoll } from "../use-poll.ts";

type Entry = OperatorBoard["entries"][number];

export function BoardView({ board }: { board: string }) {
  return (
    <>
      <Lookup view="board" label="Board" value={board} />
      {board === "" ? <Empty>Enter a board's name.</Empty> : <BoardDetails key={board} board={board} />}
    </>
  );
}

function BoardDetails({ board }: { board: string }) {
  const path = `leaderboards/${encodeURIComponent(board)}`;
  const polled = usePoll(() => get<OperatorBoard>(path, { limit: 50 }), [path], 2_000);
  const before = useEntriesBefore(polled.data);
  return (
    <Loaded of={polled}>
      {({ revision, total, season, seasons, entries }) => (
        <>
          <dl class="sums">
            <div>
              <dt>Members</dt>
              <dd>{number(total)}</dd>
            </div>
            <div>
              <dt>Revision</dt>
              <dd>{number(revision)}</dd>
            </div>
            <div>
              <dt>Season</dt>
              <dd>{season ?? "none"}</dd>
            </div>
          </dl>
          <Card title="The first 50">
            {entries.length === 0 ? (
              <Empty>This board has no scores.</Empty>
            ) : (
              <Entries entries={entries} before={before} path={path} onDone={polled.reload} />
            )}
          </Card>
          <Card title="Seasons with scores">
            {seasons.length === 0 ? (
              <Empty>This board has no seasons.</Empty>
            ) : (
              <p>{seasons.map(({ season: id, current }) => (current ? `${id} (current)` : id)).join(", ")}</p>
            )}
          </Card>
        </>
      )}
    </Loaded>
  );
}

/** The entries before the last change. */
function useEntriesBefore(data: OperatorBoard | undefined): readonly Entry[] | undefined {
  const [shown, setShown] = useState<{ now?: readonly Entry[]; before?: readonly Entry[] }>({});
  useEffect(() => {
    if (data === undefined || ranksOf(data.entries) === ranksOf(shown.now)) return;
    setShown({ now: data.entries, ...(shown.now && { before: shown.now }) });
  }, [data]);
  return shown.before;
}

const ranksOf = (entries: readonly Entry[] = []): string =>
  JSON.stringify(entries.map(({ member, score }) => [member, score]));

interface EntriesProps {
  entries: readonly Entry[];
  before: readonly Entry[] | undefined;
  path: string;
  onDone: () => void;
}

function Entries({ entries, before, path, onDone }: EntriesProps) {
  return (
    <Table
      caption="Entries"
      rows={entries}
      keyOf={({ member }) => member}
      columns={[
        { title: "Rank", isNumber: true, cell: ({ rank }) => rank },
        { title: "Change", cell: (entry) => changeOf(entry, before) },
        { title: "Member", cell: ({ member }) => <a href={link("user", member)}>{member}</a> },
        { title: "Score", isNumber: true, cell: ({ score }) => number(score) },
        { title: "Since", cell: ({ updatedAt }) => time(updatedAt) },
        ...(mayAct() ? [{ title: "Acts", cell: ({ member }: Entry) => removal(member, path, onDone) }] : []),
      ]}
    />
  );
}

function changeOf({ member, rank }: Entry, before: readonly Entry[] | undefined): string {
  if (before === undefined) return "";
  const last = before.find((entry) => entry.member === member);
  if (last === undefined) return "new";
  const places = last.rank - rank;
  return places === 0 ? "" : places > 0 ? `↑ ${places}` : `↓ ${-places}`;
}

const removal = (member: string, path: string, onDone: () => void) => (
  <Act
    label={`Remove ${member}`}
    question={`Remove ${member} and its score from this board?`}
    act={async () => {
      const { removed } = await remove<{ removed: boolean }>(`${path}/members/${encodeURIComponent(member)}`);
      return removed ? "removed" : "was not on the board";
    }}
    onDone={onDone}
  />
);
