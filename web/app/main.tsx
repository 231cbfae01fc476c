/** Owns mounting the app; everything else is below `App`. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { isSignedInWindow } from "./session";
import { applyTheme } from "./theme";
import "./styles/index.css";

applyTheme();
const root = document.getElementById("root");
if (root !== null && !isSignedInWindow()) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
