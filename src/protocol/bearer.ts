/** The `Authorization` header for a secret. Headers hold bytes: those of its UTF-8, as curl sends it too. */
export const bearer = (secret: string): string =>
  `Bearer ${Array.from(new TextEncoder().encode(secret), (byte) => String.fromCharCode(byte)).join("")}`;
