import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` talks to a gateway started by `make run`; the built app is served by the gateway itself.
const gateway = process.env["HUBBUB_GATEWAY"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    sourcemap: false,
    // Everything stays an external file: the gateway's policy forbids inline scripts and data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: "index.html", embed: "embed/embed.ts" },
      // Host pages name it, so its name must last.
      output: { entryFileNames: ({ name }) => (name === "embed" ? "embed.js" : "assets/[name]-[hash].js") },
    },
  },
  server: { host: "127.0.0.1", proxy: { "/v1": { target: gateway, ws: true } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
