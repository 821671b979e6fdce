/** The part of the optional package `pg` that the outbox uses, so that the types do not require it. */
declare module "pg" {
  export interface QueryResult {
    rows: Record<string, unknown>[];
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
    query(text: string, values?: readonly unknown[]): Promise<QueryResult>;
    on(event: "notification" | "end", listener: () => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    end(): Promise<void>;
  }
}
