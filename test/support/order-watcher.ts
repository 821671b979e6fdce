import { isDeepStrictEqual } from "node:util";
import { openClient, type Client } from "./gateway.ts";

/** An entry of an order's timeline. */
export interface Entry {
  status: string;
  sequence: number;
  update?: { parties?: Record<string, string | null> };
}

/** What a client saw of an order while it was subscribed to it: the snapshot's timeline, and what followed. */
interface View {
  seen: Entry[];
  offset: number;
  /** Told `unsubscribed`, or subscribed again after it had lost its connection. */
  end: "unsubscribed" | "replaced" | undefined;
  /** Told so while another subscribe request was under way, behind which publications are held. */
  wasHeld?: boolean;
}

/** From the first entry of the timeline to which the user was entitled to the first to which not. */
interface Stint {
  from: number;
  to: number;
}

interface Position {
  epoch: string;
  offset: number;
}

interface Subscribed extends Position {
  snapshot: { timeline: Entry[] };
  publications: Published[];
}

interface Published {
  channel: string;
  offset: number;
  event: string;
  data: { orderId: string; parties?: unknown };
}

/** An order as it was in the end. */
export interface FinishedOrder {
  orderId: string;
  /** When it was created. */
  parties: Record<string, string>;
  timeline: Entry[];
}

/**
 * A stock client that follows orders: in its own list, and each by its channel while it is a party. It records what it
 * saw, to be compared with what its user was entitled to see.
 */
export class OrderWatcher {
  readonly userId: string;
  readonly faults: string[] = [];
  /** Subscriptions that were refused, by order. */
  readonly refused = new Map<string, number>();
  reconnects = 0;
  /** Reconnects that recovered nothing. */
  restarts = 0;
  readonly #client: Client;
  readonly #views = new Map<string, View[]>();
  readonly #list = new Map<string, (Entry | "removed")[]>();
  readonly #early = new Map<string, Published[]>();
  readonly #subscribing = new Set<string>();
  /** Listed once more while a request was under way, which may be refused for the time before. */
  readonly #wantedAgain = new Set<string>();
  readonly #waiting = new Map<string, () => void>();
  #listPosition: Position | undefined;
  /** What this client saw and did, by order, and its connections under "". */
  readonly #trace: { orderId: string; text: string }[] = [];

  constructor(url: string, token: string, userId: string) {
    this.userId = userId;
    const again = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200 };
    const client = (this.#client = openClient(url, token, again));
    client.on("publication", (publication: Published) => this.#published(publication));
    client.on("unsubscribed", ({ channel }: { channel: string }) => this.#unsubscribed(channel));
    client.on("connect", () => this.#note("", client.recovered ? "recovered" : "connected"));
    client.on("disconnect", (reason: string) => {
      this.#note("", `disconnected: ${reason}`);
      this.reconnects += 1;
      client.once("connect", () => this.#connectedAgain());
    });
  }

  /** Follows the user's list; its new orders are subscribed to. */
  async followList(): Promise<void> {
    const begin = ({ epoch, offset, publications }: Subscribed): void => {
      this.#listPosition ??= { epoch, offset };
      for (const publication of publications) this.#ofList(publication);
    };
    const isAllowed = await this.#subscribe(`orders:${this.userId}`, begin, this.#listPosition);
    if (!isAllowed) this.#fault("may not read its own list");
  }

  /** Subscribes to an order; false if that is refused. */
  async watch(orderId: string): Promise<boolean> {
    this.#note(orderId, "asks");
    if (this.#subscribing.has(orderId)) {
      this.#wantedAgain.add(orderId);
      return false;
    }
    this.#subscribing.add(orderId);
    const isAllowed = await this.#subscribe(`order:${orderId}`, (answer) => this.#begin(orderId, answer));
    this.#subscribing.delete(orderId);
    const isWantedAgain = this.#wantedAgain.delete(orderId);
    if (isAllowed) return true;
    this.refused.set(orderId, (this.refused.get(orderId) ?? 0) + 1);
    return isWantedAgain ? this.watch(orderId) : false;
  }

  /** Resolves once this client, which watches the order, has seen what `isReached` asks for. */
  until(orderId: string, isReached: (seen: readonly Entry[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!isReached(this.#views.get(orderId)?.at(-1)?.seen ?? [])) return;
        this.#waiting.delete(orderId);
        resolve();
      };
      this.#waiting.set(orderId, check);
      check();
    });
  }

  /** What this client saw and should not have seen, and what it did not see. */
  compare({ orderId, parties, timeline }: FinishedOrder, isStaff = false): string[] {
    const stints = isStaff ? [{ from: 0, to: timeline.length }] : stintsOf(this.userId, parties, timeline);
    const views = this.#views.get(orderId) ?? [];
    const isOpen = stints.at(-1)?.to === timeline.length;
    const faults = views.flatMap((view) => this.#faultsOf(view, stints, timeline));
    if (isOpen && views.at(-1)?.end !== undefined) faults.push("lost a subscription it was entitled to");
    if (isOpen && views.length === 0) faults.push("never subscribed");
    if (!isStaff) faults.push(...this.#listFaults(orderId, stints, timeline));
    return faults.map((fault) => `${this.userId} ${orderId}: ${fault}; ${this.#traceOf(orderId)}`);
  }

  get viewCount(): number {
    return [...this.#views.values()].reduce((sum, views) => sum + views.length, 0);
  }

  #faultsOf({ seen, end, wasHeld = false }: View, stints: readonly Stint[], timeline: readonly Entry[]): string[] {
    const firstOwn = (stint: Stint) => seen.length > stint.from && seen.length <= stint.to;
    const stint = stints.find(firstOwn);
    if (!isDeepStrictEqual(seen, timeline.slice(0, seen.length)))
      return [`saw ${JSON.stringify(seen)} of ${JSON.stringify(timeline)}`];
    if (stint === undefined) return [`saw ${seen.length} entries, entitled to ${JSON.stringify(stints)}`];
    // Who was away when the right ended cannot be told what came before that, and what was held is not sent any more.
    const mayMiss = end === "replaced" || (end !== undefined && (this.reconnects > 0 || wasHeld));
    if (seen.length < stint.to && !mayMiss) return [`saw ${seen.length} entries of ${stint.to}`];
    if (stint.to < timeline.length && end === undefined) return ["was not told that its subscription ended"];
    return [];
  }

  #listFaults(orderId: string, stints: readonly Stint[], timeline: readonly Entry[]): string[] {
    const expected = stints.flatMap(({ from, to }) => [
      ...timeline.slice(from, to),
      ...(to < timeline.length ? ["removed" as const] : []),
    ]);
    const listed = this.#list.get(orderId) ?? [];
    return isDeepStrictEqual(listed, expected)
      ? []
      : [`list has ${JSON.stringify(listed)}, not ${JSON.stringify(expected)}`];
  }

  /** Calls back before anything that follows the answer; resolves with false if it is refused. */
  async #subscribe(channel: string, begin: (answer: Subscribed) => void, since?: Position): Promise<boolean> {
    for (;;) {
      const code = await new Promise<string | undefined>((resolve) => {
        const done = (error: Error | null, answer?: { ok: boolean; error?: { code: string } } & Subscribed): void => {
          const { ok, error: refusal, offset } = answer ?? {};
          this.#note(subjectOf(channel), `answered ${JSON.stringify({ ok, refusal, offset, lost: error?.message })}`);
          if (answer?.ok === true) begin(answer);
          // Without an answer the connection was lost: it is sent again on the next one.
          resolve(error === null ? answer?.error?.code : "unavailable");
        };
        this.#client.timeout(60_000).emit("subscribe", { channel, ...(since && { since }) }, done);
      });
      if (code === undefined) return true;
      if (code === "forbidden") return false;
      if (!["unavailable", "rate_limited", "not_subscribed"].includes(code)) this.#fault(`${channel}: ${code}`);
    }
  }

  /** A connection that was lost is recovered, unless the user has lost a right meanwhile: then nothing is. */
  #connectedAgain(): void {
    if (this.#client.recovered) return;
    this.restarts += 1;
    void this.followList();
    for (const [orderId, views] of this.#views) {
      const view = views.at(-1);
      if (view?.end !== undefined || view === undefined) continue;
      view.end = "replaced";
      void this.watch(orderId);
    }
  }

  #begin(orderId: string, { offset, snapshot }: Subscribed): void {
    this.#subscribing.delete(orderId);
    const views = this.#views.get(orderId) ?? [];
    const last = views.at(-1);
    if (last?.end === undefined && last !== undefined) last.end = "replaced";
    this.#views.set(orderId, [...views, { seen: [...snapshot.timeline], offset, end: undefined }]);
    const early = this.#early.get(orderId) ?? [];
    this.#early.delete(orderId);
    for (const publication of early) if (publication.offset > offset) this.#ofOrder(publication);
    this.#waiting.get(orderId)?.();
  }

  #published(publication: Published): void {
    if (publication.channel === `orders:${this.userId}`) this.#ofList(publication);
    else if (publication.channel.startsWith("order:")) this.#ofOrder(publication);
  }

  #ofOrder(publication: Published): void {
    const { orderId } = publication.data;
    this.#note(orderId, `publication ${JSON.stringify(publication)}`);
    const view = this.#views.get(orderId)?.at(-1);
    if (view === undefined || view.end !== undefined || this.#subscribing.has(orderId)) {
      this.#early.set(orderId, [...(this.#early.get(orderId) ?? []), publication]);
      if (!this.#subscribing.has(orderId))
        this.#fault(`was told of ${orderId} without a subscription; ${this.#traceOf(orderId)}`);
      return;
    }
    if (publication.offset !== view.offset + 1)
      this.#fault(`${orderId}: offset ${publication.offset} after ${view.offset}`);
    view.offset = publication.offset;
    view.seen.push(entryOf(publication));
    this.#waiting.get(orderId)?.();
  }

  #ofList(publication: Published): void {
    const { offset, event, data } = publication;
    const { epoch, offset: last } = this.#listPosition ?? { epoch: "", offset: 0 };
    if (offset !== last + 1) this.#fault(`list: offset ${offset} after ${last}`);
    this.#listPosition = { epoch, offset };
    this.#note(data.orderId, `in the list: ${offset} ${event}`);
    if (event === "order.listed") return;
    const isRemoved = event === "order.removed";
    const known = this.#list.get(data.orderId) ?? [];
    this.#list.set(data.orderId, [...known, isRemoved ? "removed" : entryOf(publication)]);
    const isWatched = this.#views.get(data.orderId)?.at(-1)?.end === undefined && this.#views.has(data.orderId);
    if (!isRemoved && !isWatched) void this.watch(data.orderId);
  }

  #unsubscribed(channel: string): void {
    const orderId = subjectOf(channel);
    this.#note(orderId, "unsubscribed");
    const view = this.#views.get(orderId)?.at(-1);
    // A recovered connection may have a subscription whose answer was lost with the one before.
    if (this.#subscribing.has(orderId) && this.reconnects > 0) return;
    if (view?.end !== undefined || view === undefined) return this.#fault(`${channel}: unsubscribed twice`);
    view.end = "unsubscribed";
    view.wasHeld = this.#subscribing.size > 0;
  }

  #note(orderId: string, text: string): void {
    this.#trace.push({ orderId, text: `${new Date().toISOString().slice(14, -1)} ${text}` });
  }

  #traceOf(orderId: string): string {
    const own = this.#trace.filter((noted) => noted.orderId === orderId || noted.orderId === "");
    return own.map(({ text }) => text).join("\n");
  }

  #fault(text: string): void {
    this.faults.push(`${this.userId} ${text}`);
  }
}

const subjectOf = (channel: string): string => channel.slice(channel.indexOf(":") + 1);

/** A publication as the timeline has it. */
function entryOf({ data }: Published): Entry {
  const { orderId: _orderId, parties: _parties, ...entry } = data;
  return entry as Entry & { orderId: undefined };
}

function stintsOf(userId: string, created: Record<string, string>, timeline: readonly Entry[]): Stint[] {
  const parties: Record<string, string | null> = { ...created };
  const stints: Stint[] = [];
  let from: number | undefined;
  for (const [index, { update }] of timeline.entries()) {
    Object.assign(parties, update?.parties);
    const isParty = Object.values(parties).includes(userId);
    if (isParty) from ??= index;
    else if (from !== undefined) {
      stints.push({ from, to: index });
      from = undefined;
    }
  }
  return from === undefined ? stints : [...stints, { from, to: timeline.length }];
}
