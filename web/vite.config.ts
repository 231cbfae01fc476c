import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` talks to a gateway started by `make run`; the built app is served by the gateway itself.
const gateway = process.env["HUBBUB_GATEWAY"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  resolve: {
    // Vite would follow the package's `exports` to its build, and the app would hold a second copy of every class.
    alias: [{ find: /^(\.\.\/)+client$/, replacement: fileURLToPath(new URL("client/index.ts", import.meta.url)) }],
  },
  build: {
    target: "es2022",
    sourcemap: false,
    // No inlining: the gateway's content security policy forbids inline scripts and data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: "index.html", embed: "embed/embed.ts" },
      output: {
        // Host pages load embed.js by this name.
        entryFileNames: ({ name }) => (name === "embed" ? "embed.js" : "assets/[name]-[hash].js"),
        // One file rather than seven for the library of the menus and dialogs, which are loaded on demand.
        manualChunks: (id) => (/node_modules\/(@ariakit|@floating-ui)\//.test(id) ? "ariakit" : undefined),
        onlyExplicitManualChunks: true,
      },
    },
  },
  server: { host: "127.0.0.1", proxy: { "/v1": { target: gateway, ws: true } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
