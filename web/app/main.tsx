/** Mounts the app. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { ErrorBoundary } from "./ErrorBoundary";
import { closeSignInWindow } from "./session/session";
import { applyTheme } from "./browser/theme";
import "./styles/index.css";

applyTheme();
const root = document.getElementById("root");
if (root !== null && !closeSignInWindow()) {
  createRoot(root).render(
    <StrictMode>
      <ErrorBoundary>
        <App />
      </ErrorBoundary>
    </StrictMode>,
  );
}
