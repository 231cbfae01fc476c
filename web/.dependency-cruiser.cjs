/** Which module may import which; `npm run lint` checks it. */

/** The entries of the package besides `index`: the `exports` of `client/package.json`. */
const entries = Object.keys(require("./client/package.json").exports)
  .filter((name) => name !== "." && !name.endsWith(".json"))
  .map((name) => name.slice("./".length))
  .join("|");

module.exports = {
  forbidden: [
    {
      name: "no-circles",
      comment: "Type-only imports count as well: a circle of types is a module in the wrong place.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-circles-between-folders",
      severity: "error",
      scope: "folder",
      from: {},
      to: { circular: true },
    },
    {
      name: "client-stands-alone",
      comment: "Other products use the client core without React and without the app.",
      severity: "error",
      from: { path: "^client/" },
      to: { pathNot: "^client/" },
    },
    {
      name: "embed-stands-alone",
      comment: "The host page loads embed.js as one classic script.",
      severity: "error",
      from: { path: "^embed/" },
      to: { path: "." },
    },
    {
      name: "app-uses-the-public-client",
      comment: "What the app needs, other products need as well: it is in the package.",
      severity: "error",
      from: { path: "^app/" },
      to: { path: "^client/", pathNot: `^client/(index|${entries})\\.ts$` },
    },
    {
      name: "client-index-is-small",
      comment: "What only some products need is an entry of its own.",
      severity: "error",
      from: { path: "^client/", pathNot: `^client/(${entries}|history|roster)\\.ts$` },
      to: { path: `^client/(${entries}|history|roster)\\.ts$`, dependencyTypesNot: ["type-only"] },
    },
    {
      name: "client-entries-share-index",
      comment: "Another import would put a second copy of the module into the built entry; of these, a copy is harmless.",
      severity: "error",
      from: { path: `^client/(${entries})\\.ts$` },
      to: { path: "^client/", pathNot: "^client/(index|history|roster|timeline)\\.ts$" },
    },
    {
      name: "ui-knows-no-feature",
      comment: "Layers of the app, lowest first: browser and text, state, ui, features, Shell and App.",
      severity: "error",
      from: { path: "^app/(browser|text|state|ui)/" },
      to: { path: "^app/", pathNot: "^app/(browser|text|state|ui)/" },
    },
    {
      name: "only-ui-uses-ariakit",
      severity: "error",
      from: { path: "^app/", pathNot: "^app/ui/" },
      to: { path: "@ariakit/" },
    },
    {
      name: "state-knows-no-ui",
      severity: "error",
      from: { path: "^app/(browser|text|state)/" },
      to: { path: "^app/ui/" },
    },
    {
      name: "features-know-no-shell",
      severity: "error",
      from: { path: "^app/[^/]+/" },
      to: { path: "^app/[^/]+$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^client/(dist/|example)" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".tsx", ".js", ".json"] },
  },
};
