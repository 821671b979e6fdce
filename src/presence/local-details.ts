import type { MemberDetail } from "./members-change.ts";

/** What is shown of the connections on this node: by channel, user and connection. Those without anything are left out. */
export class LocalDetails {
  readonly #channels = new Map<string, Map<string, Map<string, MemberDetail>>>();

  /** A connection that changes comes last. */
  set(channel: string, user: string, connectionId: string, detail: MemberDetail): void {
    const users = this.#channels.get(channel) ?? new Map<string, Map<string, MemberDetail>>();
    const connections = users.get(user) ?? new Map<string, MemberDetail>();
    connections.delete(connectionId);
    if (detail.info !== undefined || detail.data !== undefined) connections.set(connectionId, detail);
    if (connections.size === 0) users.delete(user);
    else users.set(user, connections);
    if (users.size === 0) this.#channels.delete(channel);
    else this.#channels.set(channel, users);
  }

  get(channel: string, user: string, connectionId: string): MemberDetail | undefined {
    return this.#channels.get(channel)?.get(user)?.get(connectionId);
  }

  /** What is shown of the user: the latest data and information of any connection. */
  of(channel: string, user: string): MemberDetail | undefined {
    let latest: MemberDetail | undefined;
    for (const { info = latest?.info, data, at } of this.#channels.get(channel)?.get(user)?.values() ?? [])
      latest = data === undefined ? { info, data: latest?.data, at: latest?.at ?? 0 } : { info, data, at };
    return latest;
  }
}
