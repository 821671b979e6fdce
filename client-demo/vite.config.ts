import { defineConfig } from "vite";

const gateway = "http://127.0.0.1:3000";

/** Built for the gateway's `/demo/`; `vite client-demo` serves it beside a gateway on port 3000 while it is worked on. */
export default defineConfig({
  root: import.meta.dirname,
  base: "/demo/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // Browsers since spring 2024: the sheet uses light-dark().
    target: ["chrome123", "edge123", "firefox121", "safari17.5"],
  },
  server: {
    proxy: {
      "/socket.io": { target: gateway, ws: true },
      "/v1": gateway,
      "/demo/login": gateway,
    },
  },
});
