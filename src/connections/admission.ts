import type { IncomingMessage } from "node:http";
import type { RequestCarrier } from "../engine/engine.ts";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { LimitRefusal } from "../commands/refusal.ts";
import type { RateLimitResult } from "./rate-limit-result.ts";

/** Called before a connection begins, with the client's address; an error or an exceeded limit refuses it. */
export type Admit = (address: string) => Promise<AdmitResult> | AdmitResult;
export type AdmitResult = RateLimitResult | GatewayError | undefined;

/** Undefined if the connection may begin. */
export type Refusal = GatewayError | undefined;

export interface AdmissionDeps {
  /** Omit to admit everybody. */
  admit?: Admit | undefined;
  clientAddress: ClientAddress;
  clock: Clock;
}

export interface AdmissionOptions {
  /** Max pending connections, in total. */
  maxPending: number;
  /** The same for one address (IPv6: one /64). */
  maxPendingPerAddress: number;
}

interface PendingRequest {
  readonly address: string;
  readonly group: string;
  /** Releases the request when it ends; undefined once a connection has claimed it. */
  onEnd: (() => void) | undefined;
  readonly carrier: RequestCarrier;
}

/** Delays the refusal so that a flooding client retries less often. */
const refusalDelayMs = 200;
const retryAfterMs = 1_000;

/**
 * Bounds unauthenticated connections. A connection is pending from its first request until it has authenticated or ended;
 * the number of pending connections is bounded, in total and per address.
 */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #options: AdmissionOptions;
  readonly #pending = new Map<IncomingMessage, PendingRequest>();
  readonly #byGroup = new Map<string, number>();

  constructor(deps: AdmissionDeps, options: AdmissionOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** For the first request of a connection. If result, it counts as pending until `release` or the carrier's end. */
  admit(request: IncomingMessage, carrier: RequestCarrier): Promise<Refusal> | Refusal {
    const address = this.#deps.clientAddress(request);
    const group = addressGroup(address);
    const refusal = this.#refusalOf(group);
    if (refusal !== undefined) return refusal;
    this.#take(request, { address, group, carrier, onEnd: () => this.release(request) });
    return this.#decide(request, this.#deps.admit?.(address));
  }

  /** Checks a further authentication attempt of a pending connection. Throws if it is refused. */
  async readmit(address: string): Promise<void> {
    const result = await this.#deps.admit?.(address);
    const refusal = refusalFrom(result);
    if (refusal !== undefined) throw refusal;
  }

  /** A connection was established from the request and stays pending. Returns the client's address. */
  claim(request: IncomingMessage): string {
    const pending = this.#pending.get(request);
    if (pending === undefined) return this.#deps.clientAddress(request);
    this.#detach(pending);
    return pending.address;
  }

  /** The connection has authenticated or ended. Idempotent. */
  release(request: IncomingMessage): void {
    const pending = this.#pending.get(request);
    if (pending === undefined) return;
    this.#detach(pending);
    this.#pending.delete(request);
    const left = (this.#byGroup.get(pending.group) ?? 1) - 1;
    if (left === 0) this.#byGroup.delete(pending.group);
    else this.#byGroup.set(pending.group, left);
  }

  #refusalOf(group: string): Refusal {
    const { maxPending, maxPendingPerAddress } = this.#options;
    if (this.#pending.size >= maxPending)
      return new GatewayError("unavailable", "Too many connections are pending.", { retryAfterMs });
    if ((this.#byGroup.get(group) ?? 0) < maxPendingPerAddress) return undefined;
    return new LimitRefusal("pending", { retryAfterMs }, "Too many connections from this address are pending.");
  }

  #take(request: IncomingMessage, pending: PendingRequest): void {
    this.#pending.set(request, pending);
    this.#byGroup.set(pending.group, (this.#byGroup.get(pending.group) ?? 0) + 1);
    pending.carrier.on("close", pending.onEnd as () => void);
  }

  #detach(pending: PendingRequest): void {
    if (pending.onEnd !== undefined) pending.carrier.off("close", pending.onEnd);
    pending.onEnd = undefined;
  }

  /** Synchronous if the result is. */
  #decide(request: IncomingMessage, result: Promise<AdmitResult> | AdmitResult): Promise<Refusal> | Refusal {
    if (result instanceof Promise) return result.then((late) => this.#decide(request, late));
    const refusal = refusalFrom(result);
    if (refusal === undefined) return undefined;
    return this.#refuseLate(request, refusal);
  }

  async #refuseLate(request: IncomingMessage, refusal: GatewayError): Promise<GatewayError> {
    if (refusal.code === "rate_limited") await sleep(this.#deps.clock, refusalDelayMs);
    this.release(request);
    return refusal;
  }
}

function refusalFrom(result: AdmitResult): Refusal {
  if (result === undefined || result instanceof GatewayError) return result;
  return result.allowed ? undefined : new LimitRefusal("handshakes", result);
}
