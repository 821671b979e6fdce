import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import { examineStore, type Finding } from "../redis/boot-checks.ts";
import type { RedisAddress } from "../redis/addresses.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { examineFormat } from "../redis/store-format.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CheckResult } from "../http/readiness.ts";

export interface StoreCheckDeps {
  address: RedisAddress;
  commands: RedisClient;
  keys: Keys;
  durability: Config["durability"];
  clock: Clock;
  log: Logger;
}

const againMs = 60_000;
/** Interval while the node refuses connections because of a finding. */
const againSoonMs = 2_000;

/**
 * Checks the settings of Redis before the node starts, and refuses to start if they would break guarantees; repeats the
 * check once a minute, because clocks drift and replicas with other settings become primaries.
 */
export class StoreCheck {
  readonly #deps: StoreCheckDeps;
  #findings: readonly Finding[] = [];
  #cancel: Cancel | undefined;

  constructor(deps: StoreCheckDeps) {
    this.#deps = deps;
  }

  /** For `/readyz`; omits server addresses. */
  get result(): CheckResult {
    const texts = new Set(this.#findings.map(({ text }) => text));
    if (texts.size === 0) return { status: "ok" };
    const isWeaker = this.#findings.some(({ severity }) => severity !== "note");
    return { status: !this.isGood ? "failing" : isWeaker ? "degraded" : "ok", note: [...texts].join("; ") };
  }

  /** False if the node must not accept connections for now. */
  get isGood(): boolean {
    return !this.#findings.some(({ severity }) => severity === "failing");
  }

  /** Throws ConfigError if Redis is not usable. */
  async start(): Promise<void> {
    // The embedded server is configured by us and is not persistent on purpose.
    if (this.#deps.address.topology === "embedded") return;
    const findings = await this.#examine();
    this.#refuse(findings);
    this.#refuse(await examineFormat(this.#deps.commands, this.#deps.keys.storeFormat()));
    this.#take(findings);
    this.#lookLater();
  }

  #refuse(findings: readonly Finding[]): void {
    const refusals = findings.filter(({ severity }) => severity === "refuse");
    if (refusals.length > 0) throw new ConfigError(refusals.map((refusal) => this.#problemOf(refusal)));
  }

  stop(): void {
    this.#cancel?.();
  }

  #examine(): Promise<Finding[]> {
    const { commands, clock, durability } = this.#deps;
    return examineStore(commands, clock, durability === "external");
  }

  #lookLater(): void {
    this.#cancel = this.#deps.clock.after(this.isGood ? againMs : againSoonMs, () => {
      this.#lookLater();
      this.#examine().then(
        (found) => this.#take(found),
        (error: unknown) => this.#deps.log.debug({ err: error }, "checking the Redis settings failed"),
      );
    });
  }

  #take(findings: readonly Finding[]): void {
    const known = new Set(this.#findings.map(wordsOf));
    const wasGood = this.isGood;
    this.#findings = findings;
    for (const finding of findings) {
      if (known.has(wordsOf(finding))) continue;
      const level = finding.severity === "failing" ? "error" : "warn";
      this.#deps.log[level]({ server: finding.server }, finding.text);
    }
    if (!wasGood && this.isGood)
      this.#deps.log.info({}, "clock difference to Redis is back within limits; accepting connections again");
  }

  #problemOf({ text, server }: Finding): { name: string; message: string } {
    const name = this.#deps.address.topology === "sentinel" ? "REDIS_SENTINELS" : "REDIS_URL";
    return { name, message: server === undefined ? text : `${text} (${server})` };
  }
}

/** The text without its numbers, so that a lasting clock difference is logged once. */
const wordsOf = ({ text, server = "" }: Finding): string => `${server} ${text.replaceAll(/\d+\.\d+/g, "")}`;
