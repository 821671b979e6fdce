import { BackendApi, renewToken } from "../api.ts";
import { clientPlansOf, type ClientPlan } from "../client-plan.ts";
import { createReader } from "../clients/create-reader.ts";
import { Dialer } from "../clients/dialer.ts";
import { createParser } from "../clients/parse-once.ts";
import { createLogin, type SignedIn } from "../clients/login.ts";
import type { PublishLog } from "../verification/publish-log.ts";
import { emptyVerdict, type DeliveryVerdict } from "../verification/verdict.ts";
import type { Plan } from "../plan.ts";
import { seededFor, type Random } from "../random.ts";
import type { Measurements } from "../measurements.ts";
import { VirtualUser } from "./virtual-user.ts";
import type { BoardTops } from "./messages.ts";

export interface VirtualUsersOptions {
  plan: Plan;
  /** Index of this worker. */
  share: number;
  /** In the order of its users; reused if there are fewer. */
  logins: readonly SignedIn[];
}

/** Interval of connecting users that are due. */
const openEveryMs = 10;

/** Interval of checking for missing publications. */
const judgeEveryMs = 200;

/** The virtual users of one worker process. */
export class VirtualUsers {
  readonly #options: VirtualUsersOptions;
  readonly #users: readonly VirtualUser[];
  readonly #api: BackendApi;
  readonly #parse = createParser();
  readonly #cuts = new Set<NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: VirtualUsersOptions, measurements: Measurements) {
    const { plan, share } = options;
    this.#options = options;
    this.#api = new BackendApi(plan.addresses, plan.apiKey, share);
    const addresses = plan.addresses.map((address) => new URL(address));
    this.#users = [...clientPlansOf(plan)]
      .filter(({ index }) => index % plan.workers === share)
      .map((role) => {
        const line = new Dialer(addresses, role.address);
        return new VirtualUser({ plan: role, dialer: line, load: plan.scenario.load.type, measurements });
      });
    measurements.gauge("reading", () => this.#reading);
  }

  get #reading(): number {
    return this.#users.filter(({ isReading }) => isReading).length;
  }

  /** Connects them at the rate of the scenario. */
  open(): void {
    const { plan } = this.#options;
    const perMs = plan.scenario.readers.connectPerSecond / plan.workers / 1_000;
    const begun = performance.now();
    let opened = 0;
    this.#timer = setInterval(() => {
      const due = Math.min(Math.floor((performance.now() - begun) * perMs) + 1, this.#users.length);
      for (; opened < due; opened += 1) this.#open(this.#users[opened] as VirtualUser, opened);
      if (opened === this.#users.length) clearInterval(this.#timer);
    }, openEveryMs);
  }

  cut(share: number, spreadMs: number, round: number): void {
    for (const { user, random } of this.#some("cut", share, round)) {
      const cut = setTimeout(() => {
        this.#cuts.delete(cut);
        user.cut();
      }, random() * spreadMs);
      this.#cuts.add(cut);
    }
  }

  stall(share: number, forMs: number, round: number): void {
    for (const { user } of this.#some("stall", share, round)) user.stall(forMs);
  }

  interest(): Record<string, string[]> {
    const channels = new Map<string, Set<string>>();
    for (const { node, plan: role } of this.#users) {
      if (node === undefined) continue;
      const known = channels.get(node) ?? new Set<string>();
      channels.set(node, known);
      for (const channel of role.channels) known.add(channel);
    }
    return Object.fromEntries([...channels].map(([node, names]) => [node, [...names]]));
  }

  /** Waits up to `withinMs` for missing publications and disconnected users. Cancels further cuts. */
  async verify(publishLog: PublishLog, tops: BoardTops, withinMs: number): Promise<DeliveryVerdict> {
    for (const cut of this.#cuts) clearTimeout(cut);
    const deadline = performance.now() + withinMs;
    for (;;) {
      const verdict = this.#verdict(publishLog, tops);
      const isWhole = verdict.lost === verdict.reported && verdict.wrongBoards === 0;
      if ((isWhole && !this.#users.some(({ isAway }) => isAway)) || performance.now() >= deadline) return verdict;
      await new Promise((resolve) => void setTimeout(resolve, judgeEveryMs));
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const user of this.#users) user.close();
  }

  #open(user: VirtualUser, at: number): void {
    const { plan, logins } = this.#options;
    const { plan: role, dialer: line } = user;
    const signedIn = logins[at % Math.max(logins.length, 1)];
    const login = createLogin(signedIn, (sessionId) => renewToken(this.#api, sessionId));
    const random = this.#randomOf("return", role);
    const { target, path } = plan;
    user.open(
      createReader(
        { kind: role.kind, target, dialer: line, path, login, random, parse: this.#parse },
        { channels: role.channels, observer: user },
      ),
    );
  }

  /** Selects the same users for the same seed, whatever the number of workers. */
  *#some(what: string, share: number, round: number): Generator<{ user: VirtualUser; random: Random }> {
    for (const user of this.#users) {
      const random = this.#randomOf(`${what} ${round}`, user.plan);
      if (random() < share) yield { user, random };
    }
  }

  #randomOf(what: string, { index }: ClientPlan): Random {
    return seededFor(this.#options.plan.seed, `${what} ${index}`);
  }

  #verdict(publishLog: PublishLog, tops: BoardTops): DeliveryVerdict {
    const verdict = emptyVerdict();
    for (const user of this.#users) user.judge(verdict, publishLog, tops);
    return verdict;
  }
}
