import { useMemo } from "react";
import type { Position, PresenceMember } from "../protocol/wire.ts";
import type { Channel, ChannelEvents, Publication } from "./channel.ts";
import type { ChannelState } from "./channel-reader.ts";
import { useClient, useLatest, useView, type ViewStore } from "./react-context.ts";

export interface UseChannelOptions<Events extends object> {
  /** Max publications kept in `publications`. @default 100 */
  keep?: number;
  /** Number of publications to load from the channel's history first, at most `keep`. @default 0 */
  history?: number;
  /** Called with every publication, once and in order. */
  onPublication?: (publication: Publication<Events>) => void;
}

export interface ShownChannel<Events extends object = Record<string, unknown>, Snapshot = unknown> {
  /** `subscribed`: up to date. */
  state: ChannelState;
  /** The latest, oldest first. Emptied if missed publications are lost. */
  publications: readonly Publication<Events>[];
  snapshot: Snapshot | undefined;
  /** Why there is no subscription; `willReturn` if the client subscribes again by itself. */
  refused: ChannelEvents["unsubscribed"] | undefined;
}

/** Subscribes to a channel while the component is mounted. */
export function useChannel<Events extends object = Record<string, unknown>, Snapshot = unknown>(
  name: string,
  { keep = 100, history = 0, onPublication }: UseChannelOptions<Events> = {},
): ShownChannel<Events, Snapshot> & Pick<Channel<Events, Snapshot>, "publish"> {
  const client = useClient();
  const listener = useLatest(onPublication);
  const store = useMemo(() => {
    const channel = client.channel<Events, Snapshot>(name);
    return new ChannelStore(channel, { keep, history, tell: (publication) => listener.current?.(publication) });
  }, [client, name, keep, history, listener]);
  return { ...useView(store), publish: store.publish };
}

interface ChannelStoreOptions<Events extends object> {
  keep: number;
  history: number;
  tell(publication: Publication<Events>): void;
}

class ChannelStore<Events extends object, Snapshot> implements ViewStore<ShownChannel<Events, Snapshot>> {
  readonly publish: Channel<Events, Snapshot>["publish"];
  readonly #channel: Channel<Events, Snapshot>;
  readonly #options: ChannelStoreOptions<Events>;
  #view: ShownChannel<Events, Snapshot>;
  #changed: () => void = () => undefined;
  /** Of the last publication: a component that is mounted again, as in React's strict mode, continues there. */
  #since: Position | undefined;

  constructor(channel: Channel<Events, Snapshot>, options: ChannelStoreOptions<Events>) {
    this.#channel = channel;
    this.#options = options;
    this.publish = channel.publish.bind(channel);
    this.#view = { state: channel.state, publications: [], snapshot: undefined, refused: undefined };
  }

  get view(): ShownChannel<Events, Snapshot> {
    return this.#view;
  }

  open(changed: () => void): () => void {
    this.#changed = changed;
    const channel = this.#channel;
    const offs = [
      channel.on("publication", (publication) => this.#take(publication)),
      channel.on("snapshot", ({ snapshot }) => this.#update({ snapshot })),
      channel.on("reset", ({ snapshot }) => this.#update({ publications: [], snapshot })),
      channel.on("state", ({ state }) =>
        this.#update({ state, ...(state === "subscribed" && { refused: undefined }) }),
      ),
      channel.on("unsubscribed", (refused) => this.#update({ refused })),
    ];
    const { release, subscribed } = channel.acquire(this.#since && { since: this.#since });
    subscribed.then(({ snapshot }) => this.#begin(snapshot)).catch(() => undefined);
    this.#update({ state: channel.state });
    return () => {
      offs.forEach((off) => off());
      void release().catch(() => undefined);
    };
  }

  /** The subscription stands, perhaps because of another component. */
  async #begin(snapshot: Snapshot | undefined): Promise<void> {
    this.#update({ state: this.#channel.state, ...(snapshot !== undefined && { snapshot }) });
    const limit = Math.min(this.#options.history, this.#options.keep);
    if (limit === 0 || this.#view.publications.length > 0) return;
    const { publications } = await this.#channel.history({ limit });
    const [first] = this.#view.publications;
    const earlier = publications.filter(({ epoch, offset }) => first?.epoch !== epoch || offset < (first.offset ?? 0));
    const recovered = earlier.map((each) => ({ ...each, recovered: true }) as Publication<Events>);
    this.#update({ publications: [...recovered, ...this.#view.publications].slice(-this.#options.keep) });
  }

  #take(publication: Publication<Events>): void {
    const { epoch, offset } = publication;
    if (epoch !== undefined && offset !== undefined) this.#since = { epoch, offset };
    this.#update({ publications: [...this.#view.publications, publication].slice(-this.#options.keep) });
    this.#options.tell(publication);
  }

  #update(change: Partial<ShownChannel<Events, Snapshot>>): void {
    this.#view = { ...this.#view, ...change };
    this.#changed();
  }
}

/** The members of a channel with presence, by user. Subscribes to the channel while the component is mounted. */
export function usePresence(name: string): readonly PresenceMember[] {
  const client = useClient();
  return useView(useMemo(() => presenceStore(client.channel(name)), [client, name]));
}

function presenceStore(channel: Channel): ViewStore<readonly PresenceMember[]> {
  let members: readonly PresenceMember[] = [];
  return {
    get view() {
      return members;
    },
    open(changed) {
      const update = (next: readonly PresenceMember[]): void => {
        members = next;
        changed();
      };
      const load = (): void =>
        void channel.presence().then(
          ({ members: all }) => update(all),
          () => undefined,
        );
      const offs = [
        channel.on("presence", ({ joined, left, updated }) => {
          const gone = new Set([...joined, ...left, ...updated].map(({ userId }) => userId));
          update([...members.filter(({ userId }) => !gone.has(userId)), ...joined, ...updated]);
        }),
        channel.on("recovered", load),
        channel.on("reset", load),
      ];
      const { release, subscribed } = channel.acquire();
      subscribed.then(load, () => undefined);
      return () => {
        offs.forEach((off) => off());
        void release().catch(() => undefined);
      };
    },
  };
}
