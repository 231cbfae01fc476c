// Writes the types of the package `@hubbub/client`, one file per entry, after `vite.client.config.ts`.
import { readFileSync } from "node:fs";

import { dts } from "rollup-plugin-dts";

const manifest = JSON.parse(readFileSync("client/package.json", "utf8"));
const files = Object.values(manifest.exports).flatMap((entry) => entry.types ?? []);
const names = files.map((file) => file.replace(/^\.\/dist\/(.*)\.d\.ts$/, "$1"));

export default {
  input: Object.fromEntries(names.map((name) => [name, `client/${name}.ts`])),
  output: { dir: "client/dist", entryFileNames: "[name].d.ts", chunkFileNames: "[name].d.ts" },
  plugins: [dts()],
};
