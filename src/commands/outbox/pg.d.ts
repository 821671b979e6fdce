/** The part of the optional package `pg` that the outbox uses, so that the types do not require it. */
declare module "pg" {
  export interface QueryResult<Row> {
    rows: Row[];
  }

  export class Client {
    constructor(options: {
      connectionString: string;
      application_name: string;
      connectionTimeoutMillis: number;
      query_timeout: number;
      keepAlive: boolean;
    });
    connect(): Promise<void>;
    /** `Row` is what the query selects. */
    query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<QueryResult<Row>>;
    on(event: "notification" | "end", listener: () => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    end(): Promise<void>;
  }
}
