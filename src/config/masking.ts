import type { Config } from "../config.ts";

const masked = "********";

/** The configuration as it may be printed: every secret, and every password in an address, is masked. */
export function maskSecrets(config: Config): object {
  return {
    ...config,
    redis: config.redis === undefined ? undefined : maskAddress(config.redis),
    tokens: { ...config.tokens, source: maskSource(config.tokens.source) },
    apiKeys: config.apiKeys.map((key) => ({ ...key, secret: masked })),
    webhooks: config.webhooks.map((webhook) => ({ ...webhook, url: maskUrl(webhook.url), secret: masked })),
  };
}

function maskSource(source: Config["tokens"]["source"]): object {
  if (source.type === "secret") return { ...source, secret: masked };
  return source.type === "jwks" ? { ...source, uri: maskUrl(source.uri) } : source;
}

function maskAddress({ tls, ...address }: NonNullable<Config["redis"]>): object {
  const key = tls?.key === undefined ? {} : { key: masked };
  return { ...maskPasswords(address), ...(tls === undefined ? {} : { tls: { ...tls, ...key } }) };
}

function maskPasswords(address: NonNullable<Config["redis"]>): object {
  if (address.topology === "cluster") return { ...address, urls: address.urls.map(maskUrl) };
  const sentinels =
    address.topology === "sentinel" && address.sentinelPassword !== undefined ? { sentinelPassword: masked } : {};
  const url = address.url === undefined ? {} : { url: maskUrl(address.url) };
  return { ...address, ...url, ...sentinels };
}

function maskUrl(url: string): string {
  const parsed = new URL(url);
  if (parsed.password !== "") parsed.password = masked;
  return parsed.href;
}
