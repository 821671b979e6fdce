/** One connection to the application's database. */
export interface Database {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** False after it was lost. */
  readonly isOpen: boolean;
  close(): Promise<void>;
}

/** `onWake`: rows were inserted, or the connection was lost. */
export type ConnectDatabase = (onWake: () => void) => Promise<Database>;

/** The optional package `pg` is not installed. */
export class MissingDriver extends Error {}

/** Max milliseconds to connect, for one query, and between two queries of a transaction. */
const connectTimeoutMs = 5_000;
const queryTimeoutMs = 30_000;

/** Postgres ends the transactions of a node that hangs, so that another node can take its rows. */
const session = [
  `SET statement_timeout = ${queryTimeoutMs}`,
  `SET idle_in_transaction_session_timeout = ${queryTimeoutMs}`,
  "LISTEN tidegate_outbox",
].join("; ");

/** Throws MissingDriver. */
export async function loadPostgres(url: string): Promise<ConnectDatabase> {
  const { Client } = await import("pg").catch((error: unknown) => {
    throw new MissingDriver("the package pg is not installed: npm install pg", { cause: error });
  });

  return async (onWake) => {
    const client = new Client({
      connectionString: url,
      application_name: "tidegate",
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      keepAlive: true,
    });
    let isOpen = true;
    const lost = (): void => {
      isOpen = false;
      onWake();
    };
    client.on("error", lost).on("end", lost).on("notification", onWake);
    await client.connect();
    try {
      await client.query(session);
    } catch (error) {
      // A server that refuses, such as a standby, would keep a connection of each attempt.
      await client.end().catch(() => undefined);
      throw error;
    }
    return {
      query: async <Row>(text: string, values?: readonly unknown[]) => (await client.query<Row>(text, values)).rows,
      get isOpen() {
        return isOpen;
      },
      close: () => client.end(),
    };
  };
}
