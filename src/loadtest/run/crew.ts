import type { SignedIn } from "../clients/login.ts";
import type { LedgerParts } from "../judge/ledger.ts";
import { sumVerdicts, type Verdict } from "../judge/verdict.ts";
import type { Plan } from "../plan.ts";
import type { Instruction, Tops } from "../worker/messages.ts";
import type { Timeline } from "./timeline.ts";
import { Worker } from "./worker.ts";

/** All processes of the generator: some hold readers, one publishes, so that neither makes the other late. */
export class Crew {
  readonly #plan: Plan;
  readonly #holders: readonly Worker[];
  readonly #publisher: Worker;

  constructor(plan: Plan, timeline: Timeline) {
    this.#plan = plan;
    const start = (name: string): Worker => new Worker(({ at, second }) => timeline.add(name, at, second));
    this.#holders = Array.from({ length: plan.workers }, (_, share) => start(`readers ${share + 1}`));
    this.#publisher = start("publisher");
  }

  /** Rejects when a process ends that should not. */
  get failed(): Promise<never> {
    return Promise.race(this.#all.map((worker) => worker.failed));
  }

  get size(): number {
    return this.#all.length;
  }

  /** Lets all readers in; `logins` are in their order, or one for all. */
  hold(logins: readonly SignedIn[]): void {
    const plan = this.#plan;
    for (const [share, holder] of this.#holders.entries()) {
      const own = logins.length <= 1 ? logins : logins.filter((_, index) => index % plan.workers === share);
      holder.tell({ type: "hold", plan, share, logins: [...own] });
    }
    this.#publisher.tell({ type: "prepare", plan });
  }

  publish(at: number): void {
    this.#publisher.tell({ type: "publish", at });
  }

  /** Faults of readers. */
  disturb(instruction: Extract<Instruction, { type: "cut" | "stall" }>): void {
    for (const holder of this.#holders) holder.tell(instruction);
  }

  /** Channels with readers, by node. */
  async interest(): Promise<Map<string, Set<string>>> {
    const merged = new Map<string, Set<string>>();
    for (const { channels } of await this.#ask({ type: "ask interest" }, "interest"))
      for (const [node, names] of Object.entries(channels))
        merged.set(node, new Set([...(merged.get(node) ?? []), ...names]));
    return merged;
  }

  async stopPublishing(): Promise<LedgerParts> {
    const ledger = this.#publisher.hear("ledger");
    this.#publisher.tell({ type: "stop publishing" });
    return (await ledger).ledger;
  }

  async judge(ledger: LedgerParts, tops: Tops, withinMs: number): Promise<Verdict> {
    const words = await this.#ask({ type: "judge", ledger, tops, withinMs }, "verdict");
    return sumVerdicts(words.map(({ verdict }) => verdict));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.stop()));
  }

  get #all(): Worker[] {
    return [...this.#holders, this.#publisher];
  }

  #ask<Type extends "interest" | "verdict">(instruction: Instruction, answer: Type) {
    return Promise.all(
      this.#holders.map((holder) => {
        const heard = holder.hear(answer);
        holder.tell(instruction);
        return heard;
      }),
    );
  }
}
