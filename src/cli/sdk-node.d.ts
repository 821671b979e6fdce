/** The part of the optional package that is used, so that the types do not require it. */
declare module "@opentelemetry/sdk-node" {
  export class NodeSDK {
    constructor(options: { serviceName?: string });
    start(): void;
    shutdown(): Promise<void>;
  }
}
