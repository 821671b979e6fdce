import type { Feed } from "../model/feed.ts";

const maxShown = 6;

/** The members of the selected channel, if it has presence. */
export function MemberList({ feed, ownName }: { feed: Feed; ownName: string }) {
  const members = feed.members.value;
  if (members === undefined) return null;
  const more = members.length - maxShown;
  return (
    <ul class="members" aria-label="Here now">
      {members.slice(0, maxShown).map(({ userId, connections }) => (
        <li
          key={userId}
          class={userId === ownName ? "member is-own" : "member"}
          title={connectionsOf(userId, connections)}
        >
          <span>{userId}</span>
          {connections > 1 && <span class="member-count">×{connections}</span>}
        </li>
      ))}
      {more > 0 && <li class="member">and {more} more</li>}
    </ul>
  );
}

const connectionsOf = (userId: string, connections: number): string =>
  `${userId}, with ${connections} ${connections === 1 ? "connection" : "connections"}`;
