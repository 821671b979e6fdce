import type { Identity } from "../auth/identity.ts";
import type { Connection } from "./connection.ts";

/** Open connections of this node, indexed by id, user, session and token. */
export interface Connections {
  readonly count: number;
  all(): Iterable<Connection>;
  /** If a client has returned under its old id while the old connection still exists, the new connection. */
  get(id: string): Connection | undefined;
  ofUser(userId: string): readonly Connection[];
  ofSession(sessionId: string): readonly Connection[];
  ofToken(tokenId: string): readonly Connection[];
}

export class ConnectionRegistry implements Connections {
  readonly #all = new Set<Connection>();
  readonly #byId = new Index();
  readonly #byUser = new Index();
  readonly #bySession = new Index();
  readonly #byToken = new Index();

  get count(): number {
    return this.#all.size;
  }

  all(): Iterable<Connection> {
    return this.#all;
  }

  get(id: string): Connection | undefined {
    return this.#byId.of(id).at(-1);
  }

  ofUser(userId: string): readonly Connection[] {
    return this.#byUser.of(userId);
  }

  ofSession(sessionId: string): readonly Connection[] {
    return this.#bySession.of(sessionId);
  }

  ofToken(tokenId: string): readonly Connection[] {
    return this.#byToken.of(tokenId);
  }

  add(connection: Connection): void {
    this.#all.add(connection);
    this.#byId.add(connection.id, connection);
    this.#index(connection, connection.identity);
  }

  /** Call after the identity was replaced. */
  renew(connection: Connection, previous: Identity): void {
    this.#unindex(connection, previous);
    this.#index(connection, connection.identity);
  }

  /** False if it was not registered. */
  remove(connection: Connection): boolean {
    if (!this.#all.delete(connection)) return false;
    this.#byId.remove(connection.id, connection);
    this.#unindex(connection, connection.identity);
    return true;
  }

  #index(connection: Connection, { userId, sessionId, tokenId }: Identity): void {
    this.#byUser.add(userId, connection);
    this.#bySession.add(sessionId, connection);
    this.#byToken.add(tokenId, connection);
  }

  #unindex(connection: Connection, { userId, sessionId, tokenId }: Identity): void {
    this.#byUser.remove(userId, connection);
    this.#bySession.remove(sessionId, connection);
    this.#byToken.remove(tokenId, connection);
  }
}

/** Most keys have exactly one connection, which is stored without a set. */
class Index {
  readonly #entries = new Map<string, Connection | Set<Connection>>();

  of(key: string): readonly Connection[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    return entry instanceof Set ? [...entry] : [entry];
  }

  add(key: string, connection: Connection): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, connection);
    else if (entry instanceof Set) entry.add(connection);
    else this.#entries.set(key, new Set([entry, connection]));
  }

  remove(key: string, connection: Connection): void {
    const entry = this.#entries.get(key);
    if (entry === connection) this.#entries.delete(key);
    if (!(entry instanceof Set)) return;
    entry.delete(connection);
    if (entry.size === 0) this.#entries.delete(key);
  }
}
