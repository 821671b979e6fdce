import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { LimitRefusal } from "../commands/refusal.ts";
import type { Verdict } from "./verdict.ts";

/** Asked before a connection begins; an error or a refusing verdict keeps it out. */
export type Admit = (address: string) => Promise<Admitted> | Admitted;
export type Admitted = Verdict | GatewayError | undefined;

/** Undefined where the connection may begin. */
export type Refusal = GatewayError | undefined;

export interface AdmissionDeps {
  /** Absent: everybody may try. */
  admit?: Admit | undefined;
  clientAddress: ClientAddress;
  clock: Clock;
}

export interface AdmissionOptions {
  /** Connections that may be pending at a time, in all. */
  maxPending: number;
  /** The same for one address (IPv6: one /64). */
  maxPendingPerAddress: number;
}

/** What carries the first request of a connection: its answer, or the socket of an upgrade. */
export type Carrier = ServerResponse | Duplex;

interface Pending {
  readonly address: string;
  readonly group: string;
  /** Ends the place with its request; undefined once a connection keeps it. */
  onGone: (() => void) | undefined;
  readonly carrier: Carrier;
}

/** So long a refused request holds its place: who asks again as soon as it is answered asks less often. */
const refusalDelayMs = 200;
const retryAfterMs = 1_000;

/**
 * Who may begin a connection. A connection is pending from its first request until it has authenticated or is gone; the
 * number of those is bounded, and so is the share of one address, so that no address takes the places of all others.
 */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #options: AdmissionOptions;
  readonly #pending = new Map<IncomingMessage, Pending>();
  readonly #byGroup = new Map<string, number>();

  constructor(deps: AdmissionDeps, options: AdmissionOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** For the first request of a connection. Where it is let in it has a place, until `leave` or the carrier's end. */
  ask(request: IncomingMessage, carrier: Carrier): Promise<Refusal> | Refusal {
    const address = this.#deps.clientAddress(request);
    const group = addressGroup(address);
    const refusal = this.#refusalOf(group);
    if (refusal !== undefined) return refusal;
    this.#take(request, { address, group, carrier, onGone: () => this.leave(request) });
    return this.#judge(request, this.#deps.admit?.(address));
  }

  /** Asked again on a connection that has its place. */
  async askAgain(address: string): Promise<void> {
    const admitted = await this.#deps.admit?.(address);
    const refusal = refusalBy(admitted);
    if (refusal !== undefined) throw refusal;
  }

  /** A connection was made of the request and keeps the place. Answers the client's address. */
  keep(request: IncomingMessage): string {
    const pending = this.#pending.get(request);
    if (pending === undefined) return this.#deps.clientAddress(request);
    this.#detach(pending);
    return pending.address;
  }

  /** It has authenticated, or is gone. Harmless when repeated. */
  leave(request: IncomingMessage): void {
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

  #take(request: IncomingMessage, pending: Pending): void {
    this.#pending.set(request, pending);
    this.#byGroup.set(pending.group, (this.#byGroup.get(pending.group) ?? 0) + 1);
    pending.carrier.once("close", pending.onGone as () => void);
  }

  #detach(pending: Pending): void {
    if (pending.onGone !== undefined) pending.carrier.off("close", pending.onGone);
    pending.onGone = undefined;
  }

  /** Stays synchronous where the answer is. */
  #judge(request: IncomingMessage, admitted: Promise<Admitted> | Admitted): Promise<Refusal> | Refusal {
    if (admitted instanceof Promise) return admitted.then((late) => this.#judge(request, late));
    const refusal = refusalBy(admitted);
    if (refusal === undefined) return undefined;
    return this.#refuseLate(request, refusal);
  }

  async #refuseLate(request: IncomingMessage, refusal: GatewayError): Promise<GatewayError> {
    if (refusal.code === "rate_limited") await sleep(this.#deps.clock, refusalDelayMs);
    this.leave(request);
    return refusal;
  }
}

function refusalBy(admitted: Admitted): Refusal {
  if (admitted === undefined || admitted instanceof GatewayError) return admitted;
  return admitted.allowed ? undefined : new LimitRefusal("handshakes", admitted);
}
