import { describe, expect, test } from "vitest";
import { formatWrite, parseChange, type MembersChange } from "../../src/presence/members-change.ts";
import { MembersReplica, type MembersDiff } from "../../src/presence/members-replica.ts";
import { seeded } from "../support/random.ts";

function changeOf(revision: number, node: string, counts: Record<string, number>, more: Partial<MembersChange> = {}) {
  return {
    revision,
    before: revision - 1,
    node,
    counts: new Map(Object.entries(counts)),
    isWhole: false,
    formerNode: undefined,
    ...more,
  };
}

const membersOf = (mirror: MembersReplica): Record<string, number> =>
  Object.fromEntries(mirror.members(1_000).map(({ userId, connections }) => [userId, connections]));

/** What a client makes of the diffs. */
function applied(members: Record<string, number>, diff: MembersDiff | undefined): Record<string, number> {
  const now = { ...members };
  for (const { userId, connections } of [...(diff?.joined ?? []), ...(diff?.updated ?? [])]) now[userId] = connections;
  for (const { userId } of diff?.left ?? []) delete now[userId];
  return now;
}

describe("members are counted over nodes", () => {
  test("a user who comes through two nodes is one member with the connections of both", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 2, bob: 1 }));
    mirror.apply(changeOf(2, "n2", { ada: 1 }));

    expect(membersOf(mirror)).toEqual({ ada: 3, bob: 1 });
    expect(mirror.count).toBe(2);
  });

  test("who leaves one node stays a member of the other", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1 }));
    mirror.apply(changeOf(2, "n2", { ada: 1 }));
    mirror.takeDiff();

    mirror.apply(changeOf(3, "n1", { ada: 0 }));

    expect(mirror.takeDiff()).toEqual({ joined: [], left: [], updated: [{ userId: "ada", connections: 1 }] });
  });

  test("a connection that was cut off and is back on another node was never gone, nor one more", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1 }));
    mirror.takeDiff();

    mirror.apply({ ...changeOf(2, "n1", { ada: 1 }), absent: new Map([["ada", 1]]) });
    mirror.apply(changeOf(3, "n2", { ada: 1 }));
    expect([mirror.takeDiff(), membersOf(mirror)]).toEqual([undefined, { ada: 1 }]);
    mirror.apply(changeOf(4, "n1", { ada: 0 }));

    expect([mirror.takeDiff(), membersOf(mirror)]).toEqual([undefined, { ada: 1 }]);
    mirror.apply(changeOf(5, "n2", { ada: 0 }));
    expect(mirror.takeDiff()?.left).toEqual([{ userId: "ada", connections: 0 }]);
  });

  test("a further connection of a member that is back where it was is told then", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1 }));
    mirror.takeDiff();
    mirror.apply({ ...changeOf(2, "n1", { ada: 1 }), absent: new Map([["ada", 1]]) });
    mirror.apply(changeOf(3, "n2", { ada: 1 }));
    mirror.takeDiff();

    mirror.apply(changeOf(4, "n1", { ada: 1 }));

    expect(mirror.takeDiff()?.updated).toEqual([{ userId: "ada", connections: 2 }]);
  });

  test("what cannot all be in place of those that were cut off is told at once, and so is who leaves", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 2 }));
    mirror.takeDiff();
    mirror.apply({ ...changeOf(2, "n1", { ada: 2 }), absent: new Map([["ada", 1]]) });

    mirror.apply(changeOf(3, "n2", { ada: 2 }));
    expect(mirror.takeDiff()?.updated).toEqual([{ userId: "ada", connections: 4 }]);
    mirror.drop("n1");
    expect(mirror.takeDiff()?.updated).toEqual([{ userId: "ada", connections: 2 }]);
  });

  test("a dead node's members go with it", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1, bob: 1 }));
    mirror.apply(changeOf(2, "n2", { ada: 1 }));
    mirror.takeDiff();

    mirror.drop("n1");

    expect(mirror.takeDiff()).toEqual({
      joined: [],
      left: [{ userId: "bob", connections: 0 }],
      updated: [{ userId: "ada", connections: 1 }],
    });
    expect([...mirror.nodes]).toEqual(["n2"]);
  });

  test("a node that comes back under another name is told of only where something changed", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1, bob: 1 }));
    mirror.takeDiff();

    mirror.apply(changeOf(2, "n1b", { ada: 1 }, { isWhole: true, formerNode: "n1" }));

    expect(mirror.takeDiff()).toEqual({ joined: [], left: [{ userId: "bob", connections: 0 }], updated: [] });
  });

  test("what a node says as a whole takes the place of what it said", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1, bob: 1 }));

    mirror.apply(changeOf(2, "n1", { cem: 1 }, { isWhole: true }));

    expect(membersOf(mirror)).toEqual({ cem: 1 });
  });

  test("no more than the limit, in order of their names", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { cem: 1, ada: 1, bob: 1 }));

    expect(mirror.members(2).map(({ userId }) => userId)).toEqual(["ada", "cem"]);
    expect(mirror.count).toBe(3);
  });
});

describe("a change has its place", () => {
  test.each([
    { revision: 6, before: 5, placement: "next" },
    { revision: 5, before: 4, placement: "repeat" },
    { revision: 7, before: 6, placement: "gap" },
    { revision: 9_000, before: 0, placement: "gap" },
  ])("$revision after $before, where the mirror is at 5: $placement", ({ revision, before, placement }) => {
    const mirror = new MembersReplica();
    mirror.replace({ revision: 5, since: 1, nodes: new Map() });

    expect(mirror.place({ revision, before })).toBe(placement);
  });

  test("the first of a channel is next where there was none", () => {
    expect(new MembersReplica().place({ revision: 1_700_000_000_000_001, before: 0 })).toBe("next");
  });
});

describe("a store that has forgotten", () => {
  test("is found out where members are known that it does not begin with", () => {
    const mirror = new MembersReplica();
    const read = (since: number) => ({ revision: since + 1, since, nodes: new Map() });
    expect(mirror.isForgottenBy(read(100))).toBe(false);

    mirror.apply({ ...changeOf(101, "n1", { ada: 1 }), before: 0 });
    expect(mirror.isForgottenBy(read(100))).toBe(false);
    expect(mirror.isForgottenBy(read(200))).toBe(true);
    expect(mirror.isForgottenBy({ revision: 0, since: 0, nodes: new Map() })).toBe(true);

    mirror.apply(changeOf(102, "n1", { ada: 0 }));
    expect(mirror.isForgottenBy(read(200))).toBe(false);
  });
});

describe("a diff", () => {
  test("leaves out who came and went in between", () => {
    const mirror = new MembersReplica();
    mirror.apply(changeOf(1, "n1", { ada: 1 }));
    mirror.apply(changeOf(2, "n1", { ada: 0 }));

    expect(mirror.takeDiff()).toBeUndefined();
  });

  test("begins with what was read first, and then tells what a later reading found", () => {
    const mirror = new MembersReplica();
    mirror.replace({ revision: 3, since: 1, nodes: new Map([["n1", new Map([["ada", 1]])]]) });
    mirror.forgetDiff();
    expect(mirror.takeDiff()).toBeUndefined();

    mirror.replace({ revision: 9, since: 1, nodes: new Map([["n2", new Map([["bob", 2]])]]) });

    expect(mirror.takeDiff()).toEqual({
      joined: [{ userId: "bob", connections: 2 }],
      left: [{ userId: "ada", connections: 0 }],
      updated: [],
    });
  });

  test("applied to a state gives the members, however often one is told late or twice", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seeded(seed);
      const pick = <T>(...from: T[]): T => from[Math.floor(random() * from.length)] as T;
      const mirror = new MembersReplica();
      const diffs: (MembersDiff | undefined)[] = [];
      let client: Record<string, number> = {};
      let answered = 0;
      for (let revision = 1; revision <= 60; revision++) {
        const node = pick("n1", "n2", "n3");
        if (random() < 0.05) mirror.drop(node);
        const counts = { [pick("ada", "bob", "cem", "__proto__x")]: pick(0, 0, 1, 2) };
        mirror.apply(changeOf(revision, node, counts, { isWhole: random() < 0.1 }));
        if (random() < 0.3) diffs.push(mirror.takeDiff());
        if (revision === 20) {
          client = membersOf(mirror);
          answered = diffs.length;
        }
      }
      diffs.push(mirror.takeDiff());

      for (const diff of diffs.slice(answered)) client = applied(client, diff);
      expect(client).toEqual(membersOf(mirror));
    }
  });
});

describe("a message of the feed", () => {
  const write = { node: "n1/x", isWhole: true, formerNode: "n0/x", counts: new Map([["__proto__", 2], ["a:b", 0]]) }; // prettier-ignore

  test("is read as it was written", () => {
    const message = Buffer.from(`17:16:${formatWrite(write)}`);

    expect(parseChange(message)).toEqual({ ...write, revision: 17, before: 16 });
  });

  test("says who of its members is absent", () => {
    const absent = new Map([["__proto__", 1]]);

    expect(parseChange(Buffer.from(`17:16:${formatWrite({ ...write, absent })}`))?.absent).toEqual(absent);
    expect(parseChange(Buffer.from('17:16:["n1",0,"",[],{}]'))).toBeUndefined();
  });

  test.each([
    "",
    "17",
    "17:16:",
    "17:16:null",
    "17:16:{}",
    "17:16:[]",
    '17:16:["",0,"",[]]',
    '17:16:["n1",0,"",[["ada"]]]',
    '17:16:["n1",0,"",[["ada",-1]]]',
    '17:16:["n1",0,"",[["ada",1.5]]]',
    '17:16:["n1",0,"",[[1,1]]]',
    '17:16:["n1",0,"",{"ada":1}]',
    'x:16:["n1",0,"",[]]',
    '12345678901234567:16:["n1",0,"",[]]',
    `17:16:${"[".repeat(100_000)}`,
  ])("of a foreign form is none: %.40s", (text) => {
    expect(parseChange(Buffer.from(text))).toBeUndefined();
  });
});
