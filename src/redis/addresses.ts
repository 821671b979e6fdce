import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions } from "node:tls";
import type { RedisOptions } from "ioredis";
import { parseRedisUrl, type RedisUrl } from "./redis-url.ts";

/** What TLS needs beside the address, as PEM. */
export interface RedisTls {
  /** Authorities that may sign the servers' certificates, instead of the system's. */
  ca?: string;
  /** The client certificate and its key, for servers that ask for one. */
  cert?: string;
  key?: string;
  /** The name to find in the servers' certificates, instead of the host that was connected to. */
  serverName?: string;
}

export interface HostAndPort {
  host: string;
  port: number;
}

/** The part of an address that may be wrong. */
export type AddressPart = "servers" | "login" | "sentinels" | "sentinel name";

/** Names of the settings that parts come from, for errors; only those that differ from the usual ones. */
export type AddressVariables = Partial<Record<AddressPart, string>>;

/**
 * Where the store is, as plain data: it is handed to workers as JSON. `embedded` is a single server that this program
 * started by itself. With Sentinel, `url` gives user, password, database and TLS of the servers; its host is not used.
 */
export type RedisAddress = { tls?: RedisTls; variables?: AddressVariables } & (
  | { topology: "single" | "embedded"; url: string }
  | {
      topology: "sentinel";
      name: string;
      sentinels: HostAndPort[];
      url?: string | undefined;
      sentinelUsername?: string;
      sentinelPassword?: string;
      /** Whether the sentinels are asked over TLS. @default whether `url` is `rediss://` */
      isSentinelTls?: boolean;
    }
  | { topology: "cluster"; urls: string[] }
);

/** The part of ioredis' options that says where to connect, and how to log in there. */
export type EndpointOptions = Pick<
  RedisOptions,
  | "host"
  | "port"
  | "path"
  | "family"
  | "username"
  | "password"
  | "db"
  | "tls"
  | "name"
  | "sentinels"
  | "enableTLSForSentinelMode"
  | "sentinelTLS"
  | "sentinelUsername"
  | "sentinelPassword"
>;

/**
 * The one place where an address becomes options of connections, whatever the topology: for a Cluster those that all its
 * members share.
 */
export function endpointOptions(address: RedisAddress): EndpointOptions {
  if (address.topology === "sentinel") return sentinelOptions(address);
  const urls = (address.topology === "cluster" ? address.urls : [address.url]).map(parseRedisUrl);
  const { host, port, path, ...common } = optionsOf(urls[0], tlsOf(urls, address.tls));
  if (address.topology === "cluster") return common;
  return path === undefined ? { ...common, host, port } : { ...common, path };
}

/** The members of a Cluster that are asked for all others. */
export const seedsOf = (urls: readonly string[]): HostAndPort[] =>
  urls.map(parseRedisUrl).map(({ host, port }) => ({ host, port }));

function sentinelOptions(address: RedisAddress & { topology: "sentinel" }): EndpointOptions {
  const url = address.url === undefined ? undefined : parseRedisUrl(address.url);
  const hosts = [...(url === undefined ? [] : [url]), ...address.sentinels];
  const { isTls = false } = url ?? { isTls: address.isSentinelTls };
  const tls = isTls ? tlsOptions(hosts, address.tls) : undefined;
  const { host: _host, port: _port, path: _path, ...common } = optionsOf(url, tls);
  const { name, sentinels, sentinelUsername, sentinelPassword } = address;
  return {
    ...common,
    name,
    sentinels,
    ...(isTls ? { enableTLSForSentinelMode: true } : {}),
    ...((address.isSentinelTls ?? isTls) ? { sentinelTLS: tlsOptions(hosts, address.tls) } : {}),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
}

function optionsOf(
  url: RedisUrl | undefined,
  tls: ConnectionOptions | undefined,
): Omit<RedisUrl, "isTls"> & { tls?: ConnectionOptions } {
  const { isTls: _, ...options } = url ?? { host: "", port: 0 };
  return tls === undefined ? options : { ...options, tls };
}

const tlsOf = (urls: readonly RedisUrl[], tls: RedisTls | undefined): ConnectionOptions | undefined =>
  urls[0]?.isTls === true ? tlsOptions(urls, tls) : undefined;

/**
 * Members of a Cluster and sentinels may name servers by IP address although certificates bear host names. A certificate
 * of a server that was named that way may then bear one of the names that the operator wrote instead.
 */
function tlsOptions(written: readonly { host: string }[], { serverName, ...files }: RedisTls = {}): ConnectionOptions {
  const names = written.map(({ host }) => host).filter((host) => isIP(host) === 0);
  return {
    ...files,
    ...(serverName === undefined ? {} : { servername: serverName }),
    checkServerIdentity(host, certificate) {
      const refused = checkServerIdentity(host, certificate);
      if (refused === undefined || isIP(host) === 0) return refused;
      return names.some((name) => checkServerIdentity(name, certificate) === undefined) ? undefined : refused;
    },
  };
}

/** An address in words for logs and errors, without user and password. */
export function describeAddress(address: RedisAddress): string {
  const join = (hosts: readonly HostAndPort[]): string => hosts.map(hostAndPort).join(",");
  if (address.topology === "sentinel") return `${address.name} of the sentinels ${join(address.sentinels)}`;
  if (address.topology === "cluster") return `Cluster ${join(seedsOf(address.urls))}`;
  const { path, ...host } = parseRedisUrl(address.url);
  return path ?? hostAndPort(host);
}

const hostAndPort = ({ host, port }: HostAndPort): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;
