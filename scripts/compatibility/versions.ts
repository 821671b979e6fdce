/** Versions of Node that are run: those that the libraries support, the oldest that the gateway supports, and the current ones. */
export const nodeVersions = ["18", "20", "22.18.0", "22", "24", "26"] as const;

/** Those of them that run the gateway. */
export const supportedNodes: readonly string[] = ["22.18.0", "22", "24", "26"];

/** Versions of socket.io-client: the first of the protocol, of 4, the last without recovery, and the current one. */
export const clientVersions = ["3", "4.0", "4.5", "4.8"] as const;
