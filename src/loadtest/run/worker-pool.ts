import type { SignedIn } from "../clients/login.ts";
import type { PublishLogParts } from "../verification/publish-log.ts";
import { sumVerdicts, type DeliveryVerdict } from "../verification/verdict.ts";
import type { Plan } from "../plan.ts";
import type { WorkerCommand, BoardTops } from "../worker/messages.ts";
import type { Timeline } from "./timeline.ts";
import { GeneratorProcess } from "./generator-process.ts";

/** All processes of the generator. Readers and publisher have separate processes, so that neither delays the other. */
export class WorkerPool {
  readonly #plan: Plan;
  readonly #holders: readonly GeneratorProcess[];
  readonly #publisher: GeneratorProcess;

  constructor(plan: Plan, timeline: Timeline) {
    this.#plan = plan;
    const start = (name: string): GeneratorProcess =>
      new GeneratorProcess(({ at, second }) => timeline.add(name, at, second));
    this.#holders = Array.from({ length: plan.workers }, (_, share) => start(`readers ${share + 1}`));
    this.#publisher = start("publisher");
  }

  /** Rejects if a process exits unexpectedly. */
  get failed(): Promise<never> {
    return Promise.race(this.#all.map((worker) => worker.failed));
  }

  get size(): number {
    return this.#all.length;
  }

  /** Connects all readers; `logins` are in their order, or one for all. */
  connect(logins: readonly SignedIn[]): void {
    const plan = this.#plan;
    for (const [share, holder] of this.#holders.entries()) {
      const own = logins.length <= 1 ? logins : logins.filter((_, index) => index % plan.workers === share);
      holder.send({ type: "hold", plan, share, logins: [...own] });
    }
    this.#publisher.send({ type: "prepare", plan });
  }

  publish(at: number): void {
    this.#publisher.send({ type: "publish", at });
  }

  /** Injects a fault into readers. */
  injectFault(instruction: Extract<WorkerCommand, { type: "cut" | "stall" }>): void {
    for (const holder of this.#holders) holder.send(instruction);
  }

  /** Channels with readers, by node. */
  async interest(): Promise<Map<string, Set<string>>> {
    const merged = new Map<string, Set<string>>();
    for (const { channels } of await this.#ask({ type: "ask interest" }, "interest"))
      for (const [node, names] of Object.entries(channels))
        merged.set(node, new Set([...(merged.get(node) ?? []), ...names]));
    return merged;
  }

  async stopPublishing(): Promise<PublishLogParts> {
    const publishLog = this.#publisher.receive("publishLog");
    this.#publisher.send({ type: "stop publishing" });
    return (await publishLog).publishLog;
  }

  async verify(publishLog: PublishLogParts, tops: BoardTops, withinMs: number): Promise<DeliveryVerdict> {
    const words = await this.#ask({ type: "judge", publishLog, tops, withinMs }, "verdict");
    return sumVerdicts(words.map(({ verdict }) => verdict));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.stop()));
  }

  get #all(): GeneratorProcess[] {
    return [...this.#holders, this.#publisher];
  }

  #ask<Type extends "interest" | "verdict">(instruction: WorkerCommand, answer: Type) {
    return Promise.all(
      this.#holders.map((holder) => {
        const heard = holder.receive(answer);
        holder.send(instruction);
        return heard;
      }),
    );
  }
}
