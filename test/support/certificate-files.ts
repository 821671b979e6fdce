import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate that its own key has signed, as files: its own authority, and good for servers and clients alike. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  /** The same as PEM, as an address holds it. */
  readonly pem: { ca: string; cert: string; key: string };
  stop(): void;
}

/** `names` as OpenSSL writes them: `DNS:localhost`, `IP:127.0.0.1`. */
export function createCertificateFiles(...names: string[]): CertificateFiles {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-tls-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const about = ["-subj", "/CN=store", "-addext", `subjectAltName=${names.join(",")}`];
  execFileSync("openssl", ["req", ...kind, ...about, "-keyout", key, "-out", cert], { stdio: "pipe" });
  const pem = { ca: readFileSync(cert, "utf8"), cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  return { cert, key, pem, stop: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What a server, a sentinel or a member of a Cluster needs to speak TLS, and to ask its clients for a certificate. */
export const tlsSettings = ({ cert, key }: CertificateFiles, port: number): [name: string, value: string][] => [
  ["tls-port", `${port}`],
  ["tls-cert-file", cert],
  ["tls-key-file", key],
  ["tls-ca-cert-file", cert],
  ["tls-replication", "yes"],
];
