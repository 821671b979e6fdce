import { Redis } from "ioredis";
import { describeAddress, endpointOptions, type AddressPart, type RedisAddress } from "./addresses.ts";
import { isDenied } from "./outage.ts";

/** Redis answered, but the address is wrong; retrying would not help. */
export class AddressRefused extends Error {
  readonly part: AddressPart;

  constructor(part: AddressPart, message: string) {
    super(message);
    this.name = "AddressRefused";
    this.part = part;
  }
}

const retryMs = 250;

/**
 * Connects once before any role does, and completes the address: a single address of a Cluster is returned as a Cluster
 * address. Throws AddressRefused immediately if the login, the certificate or the topology is wrong, and an Error if
 * nothing answers within `timeoutMs`. `onSilence` is called once, if the first attempt fails and others follow.
 */
export async function discoverStore(
  address: RedisAddress,
  timeoutMs: number,
  onSilence?: (reason: string) => void,
): Promise<RedisAddress> {
  const until = performance.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    const answer = await askAny(address);
    if (typeof answer === "boolean") return withTopology(address, answer);
    if (answer instanceof AddressRefused) throw answer;
    if (performance.now() >= until) throw new Error(`${silenceOf(address, timeoutMs)}: ${answer.message}`);
    if (attempt === 1) onSilence?.(answer.message);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/** A server without TLS takes the handshake for an incomplete command; one with TLS closes plain connections. */
function silenceOf(address: RedisAddress, timeoutMs: number): string {
  const { tls, sentinelTLS = tls } = endpointOptions(address);
  const hint = sentinelTLS === undefined ? "or requires TLS (rediss://)" : "or does not support TLS";
  return `Redis at ${describeAddress(address)} did not answer within ${timeoutMs} ms, ${hint}`;
}

/** Whether it is a Cluster, or the error. */
async function askAny(address: RedisAddress): Promise<boolean | Error> {
  const { tls } = address;
  const one = (url: string): RedisAddress => ({ topology: "single", url, ...(tls === undefined ? {} : { tls }) });
  const servers = address.topology === "cluster" ? address.urls.map(one) : [address];
  let failure: Error = new Error("no address");
  for (const server of servers) {
    const answer = await identifyServer(server);
    if (!(answer instanceof Error)) return answer.isCluster ?? address.topology === "cluster";
    failure = answer;
  }
  return failure;
}

/** What a server reports about itself; fields that the user may not read are missing. */
export interface ServerIdentity {
  isCluster?: boolean;
  /** Changes with each start of a server. */
  runId?: string;
  isPrimary?: boolean;
}

/** Identifies the server an address leads to, over a new connection. Resolves with an Error if none is usable. */
export async function identifyServer(address: RedisAddress): Promise<ServerIdentity | Error> {
  const client = new Redis({
    ...endpointOptions(address),
    protocol: 2,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectTimeout: 3_000,
    commandTimeout: 3_000,
    sentinelCommandTimeout: 3_000,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
  });
  const said: Error[] = [];
  client.on("error", (error: Error) => said.push(error));
  client.on("sentinelError", (error: Error) => said.push(error));
  try {
    await client.connect();
    return await identityOf(client);
  } catch (error) {
    return whyRefused(address, [...said, error as Error]);
  } finally {
    client.disconnect();
  }
}

/** Rejects if the server is unreachable. */
export async function identityOf(client: Redis): Promise<ServerIdentity> {
  try {
    const info = await client.info();
    const [, runId] = /^run_id:(\w+)/m.exec(info) ?? [];
    return {
      isCluster: /^cluster_enabled:1/m.test(info),
      isPrimary: /^role:master/m.test(info),
      ...(runId === undefined ? {} : { runId }),
    };
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
  try {
    await client.cluster("INFO");
    return { isCluster: true };
  } catch (error) {
    if (isDenied(error)) return {};
    if (String(error).includes("cluster support disabled")) return { isCluster: false };
    throw error;
  }
}

function withTopology(address: RedisAddress, isCluster: boolean): RedisAddress {
  const where = describeAddress(address);
  if (address.topology === "cluster" && !isCluster)
    throw new AddressRefused(
      "servers",
      `several addresses mean a Cluster, but ${where} is not in Cluster mode; set a single address`,
    );
  if (address.topology !== "single" || !isCluster) return address;
  if ((endpointOptions(address).db ?? 0) !== 0)
    throw new AddressRefused("servers", `${where} is a Cluster, which has only database 0`);
  const { url, ...rest } = address;
  return { ...rest, topology: "cluster", urls: [url] };
}

/** The first permanent failure, else the first one. */
function whyRefused(address: RedisAddress, failures: readonly Error[]): Error {
  const refused = failures.map((failure) => refusalOf(address, failure)).find((refusal) => refusal !== undefined);
  // The error of the closed connection comes last, and says less than its cause.
  return refused ?? failures[0] ?? new Error("the connection was closed");
}

function refusalOf(address: RedisAddress, { message }: Error): AddressRefused | undefined {
  const isOfSentinel = /sentinel/i.test(message);
  const [part, who] = isOfSentinel
    ? (["sentinels", "a sentinel"] as const)
    : (["servers", describeAddress(address)] as const);
  if (/invalid reply: null|No such master/.test(message) && address.topology === "sentinel")
    return new AddressRefused("sentinel name", `no sentinel monitors a primary named "${address.name}"`);
  const login = isOfSentinel ? part : "login";
  if (/\bNOAUTH\b/.test(message))
    return new AddressRefused(login, `${who} requires a password and none is set (NOAUTH)`);
  if (/\b(?:WRONGPASS|invalid password)\b/.test(message))
    return new AddressRefused(login, `${who} rejected the user or password (WRONGPASS)`);
  if (tlsFailure.test(message)) return new AddressRefused(part, `TLS with ${who} failed: ${message}`);
  return undefined;
}

/** Messages of OpenSSL and Node for certificates refused by either side, and for servers without TLS. */
const tlsFailure = /certificate|self.signed|wrong version number|packet length too long|\balert\b|altnames/i;
