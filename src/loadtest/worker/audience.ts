import { BackendApi, renewToken } from "../api.ts";
import { rolesOf, type Role } from "../cast.ts";
import { createReader } from "../clients/create-reader.ts";
import { Line } from "../clients/line.ts";
import { createParser } from "../clients/parse-once.ts";
import { createLogin, type SignedIn } from "../clients/login.ts";
import type { Ledger } from "../judge/ledger.ts";
import { emptyVerdict, type Verdict } from "../judge/verdict.ts";
import type { Plan } from "../plan.ts";
import { seededFor, type Random } from "../random.ts";
import type { Tally } from "../tally.ts";
import { Member } from "./member.ts";
import type { Tops } from "./messages.ts";

export interface AudienceOptions {
  plan: Plan;
  /** Which of the workers this is. */
  share: number;
  /** In the order of its readers; fewer are used again. */
  logins: readonly SignedIn[];
}

/** Between two looks at who is to come. */
const openEveryMs = 10;

/** Between two looks at what is missing. */
const judgeEveryMs = 200;

/** The readers of one worker process. */
export class Audience {
  readonly #options: AudienceOptions;
  readonly #members: readonly Member[];
  readonly #api: BackendApi;
  readonly #parse = createParser();
  readonly #cuts = new Set<NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AudienceOptions, tally: Tally) {
    const { plan, share } = options;
    this.#options = options;
    this.#api = new BackendApi(plan.addresses, plan.apiKey, share);
    const addresses = plan.addresses.map((address) => new URL(address));
    this.#members = [...rolesOf(plan)]
      .filter(({ index }) => index % plan.workers === share)
      .map((role) => {
        const line = new Line(addresses, role.address);
        return new Member({ role, line, load: plan.scenario.load.type, tally });
      });
    tally.gauge("reading", () => this.#reading);
  }

  get #reading(): number {
    return this.#members.filter(({ isReading }) => isReading).length;
  }

  /** Lets them in at the pace of the scenario. */
  open(): void {
    const { plan } = this.#options;
    const perMs = plan.scenario.readers.connectPerSecond / plan.workers / 1_000;
    const begun = performance.now();
    let opened = 0;
    this.#timer = setInterval(() => {
      const due = Math.min(Math.floor((performance.now() - begun) * perMs) + 1, this.#members.length);
      for (; opened < due; opened += 1) this.#open(this.#members[opened] as Member, opened);
      if (opened === this.#members.length) clearInterval(this.#timer);
    }, openEveryMs);
  }

  cut(share: number, spreadMs: number, round: number): void {
    for (const { member, random } of this.#some("cut", share, round)) {
      const cut = setTimeout(() => {
        this.#cuts.delete(cut);
        member.cut();
      }, random() * spreadMs);
      this.#cuts.add(cut);
    }
  }

  stall(share: number, forMs: number, round: number): void {
    for (const { member } of this.#some("stall", share, round)) member.stall(forMs);
  }

  interest(): Record<string, string[]> {
    const channels = new Map<string, Set<string>>();
    for (const { node, role } of this.#members) {
      if (node === undefined) continue;
      const known = channels.get(node) ?? new Set<string>();
      channels.set(node, known);
      for (const channel of role.channels) known.add(channel);
    }
    return Object.fromEntries([...channels].map(([node, names]) => [node, [...names]]));
  }

  /** Waits for what and who is still on its way, but not for ever. Nobody is cut any more. */
  async judge(ledger: Ledger, tops: Tops, withinMs: number): Promise<Verdict> {
    for (const cut of this.#cuts) clearTimeout(cut);
    const deadline = performance.now() + withinMs;
    for (;;) {
      const verdict = this.#verdict(ledger, tops);
      const isWhole = verdict.lost === verdict.told && verdict.wrongBoards === 0;
      if ((isWhole && !this.#members.some(({ isAway }) => isAway)) || performance.now() >= deadline) return verdict;
      await new Promise((resolve) => void setTimeout(resolve, judgeEveryMs));
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const member of this.#members) member.close();
  }

  #open(member: Member, at: number): void {
    const { plan, logins } = this.#options;
    const { role, line } = member;
    const signedIn = logins[at % Math.max(logins.length, 1)];
    const login = createLogin(signedIn, (sessionId) => renewToken(this.#api, sessionId));
    const random = this.#randomOf("return", role);
    const { target, path } = plan;
    member.open(
      createReader(
        { kind: role.kind, target, line, path, login, random, parse: this.#parse },
        { channels: role.channels, watch: member },
      ),
    );
  }

  /** The same readers for the same seed, however many workers there are. */
  *#some(what: string, share: number, round: number): Generator<{ member: Member; random: Random }> {
    for (const member of this.#members) {
      const random = this.#randomOf(`${what} ${round}`, member.role);
      if (random() < share) yield { member, random };
    }
  }

  #randomOf(what: string, { index }: Role): Random {
    return seededFor(this.#options.plan.seed, `${what} ${index}`);
  }

  #verdict(ledger: Ledger, tops: Tops): Verdict {
    const verdict = emptyVerdict();
    for (const member of this.#members) member.judge(verdict, ledger, tops);
    return verdict;
  }
}
