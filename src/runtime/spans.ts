import { randomBytes } from "node:crypto";
import {
  context,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
} from "@opentelemetry/api";
import { version } from "./version.ts";

export interface SpanOptions {
  kind?: "internal" | "server" | "client" | "producer" | "consumer";
  attributes?: Attributes | undefined;
  /** `traceparent` of the caller in another process. @default the span that is active */
  parent?: string | undefined;
}

/** OpenTelemetry spans. While nobody collects them, `run` only calls and all others do nothing. */
export interface Spans {
  /** Runs `act` within a span; an error marks the span and is thrown. */
  run<T>(name: string, options: SpanOptions, act: () => Promise<T>): Promise<T>;
  /** Adds attributes to the active span. */
  annotate(attributes: Attributes): void;
  /** Begins a span that the returned function ends. */
  begin(name: string, options: SpanOptions): () => void;
  /** W3C `traceparent` of the active span, for calls to other programs; undefined if there is none. */
  traceparent(): string | undefined;
  /** The same if the span is collected; an empty string otherwise. */
  sampledTraceparent(): string;
}

const noSpans: Spans = {
  run: (_name, _options, act) => act(),
  annotate: () => undefined,
  begin: () => () => undefined,
  traceparent: () => undefined,
  sampledTraceparent: () => "",
};

/** W3C trace context, version 00. */
export const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Of a trace that begins with a request. It is marked as sampled, or its receiver would not record it by default. */
export function newTraceparent(): string {
  const ids = randomBytes(24).toString("hex");
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-01`;
}

/** Spans of a node, if this process has an OpenTelemetry SDK (`telemetry.ts`, or one of the application's own). */
export function createSpans(attributes: Attributes): Spans {
  const tracer = trace.getTracer("tidegate", version);
  return isCollected(tracer) ? new OpenTelemetrySpans(tracer, attributes) : noSpans;
}

/** Without an SDK the API gives spans without ids. */
function isCollected(tracer: Tracer): boolean {
  const span = tracer.startSpan("tidegate", { root: true });
  return trace.isSpanContextValid(span.spanContext());
}

class OpenTelemetrySpans implements Spans {
  readonly #tracer: Tracer;
  readonly #attributes: Attributes;

  constructor(tracer: Tracer, attributes: Attributes) {
    this.#tracer = tracer;
    this.#attributes = attributes;
  }

  run<T>(name: string, options: SpanOptions, act: () => Promise<T>): Promise<T> {
    if (isWithinUnsampled(options)) return act();
    const parent = parentOf(options);
    const span = this.#start(name, options, parent);
    return context.with(trace.setSpan(parent, span), async () => {
      try {
        return await act();
      } catch (error) {
        fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    });
  }

  annotate(attributes: Attributes): void {
    trace.getActiveSpan()?.setAttributes(attributes);
  }

  begin(name: string, options: SpanOptions): () => void {
    if (isWithinUnsampled(options)) return () => undefined;
    const span = this.#start(name, options, parentOf(options));
    return () => span.end();
  }

  traceparent(): string | undefined {
    const own = trace.getActiveSpan()?.spanContext();
    return own && `00-${own.traceId}-${own.spanId}-${own.traceFlags.toString(16).padStart(2, "0")}`;
  }

  sampledTraceparent(): string {
    const active = trace.getActiveSpan();
    // A timer outlives the span in which it was started.
    return active?.isRecording() === true ? (this.traceparent() ?? "") : "";
  }

  #start(name: string, { kind = "internal", attributes }: SpanOptions, parent: Context): Span {
    return this.#tracer.startSpan(
      name,
      { kind: kinds[kind], attributes: { ...this.#attributes, ...attributes } },
      parent,
    );
  }
}

const isSampled = (span: Span): boolean => (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;

/** Spans within one that is not collected are not collected either: they need not begin. */
function isWithinUnsampled({ parent }: SpanOptions): boolean {
  const active = parent === undefined ? trace.getActiveSpan() : undefined;
  return active !== undefined && !isSampled(active);
}

const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Anything but a valid `traceparent` is ignored, as the specification demands. */
function parentOf({ parent }: SpanOptions): Context {
  const [, traceId, spanId, flags] = traceparentPattern.exec(parent ?? "") ?? [];
  const active = context.active();
  if (traceId === undefined || spanId === undefined) return active;
  const remote = { traceId, spanId, traceFlags: Number.parseInt(flags ?? "0", 16), isRemote: true };
  return trace.isSpanContextValid(remote) ? trace.setSpanContext(active, remote) : active;
}

/** A refusal is the caller's mistake: only its code is recorded. */
function fail(span: Span, error: unknown): void {
  const code = (error as { code?: unknown } | null)?.code;
  const name = typeof code === "string" ? code : error instanceof Error ? error.name : "error";
  span.setAttribute("error.type", name).setStatus({ code: SpanStatusCode.ERROR, message: name });
}
