import { defineConfig } from "vite";

/** Built for the gateway's `/console/`; `vite console` serves it beside a gateway on port 3000 during development. */
export default defineConfig({
  root: import.meta.dirname,
  base: "/console/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // Browsers since spring 2024: the stylesheet uses light-dark().
    target: ["chrome123", "edge123", "firefox121", "safari17.5"],
  },
  server: { proxy: { "/v1": "http://127.0.0.1:3000" } },
});
