/** The choice of light or dark. The colours are in `styles/tokens.css`. */
import { local } from "./storage";

type Theme = "auto" | "light" | "dark";

const storageKey = "hubbub.theme";

function readTheme(): Theme {
  const saved = local.getItem(storageKey);
  return saved === "light" || saved === "dark" ? saved : "auto";
}

export function applyTheme(theme: Theme = readTheme()): void {
  if (theme === "auto") {
    local.removeItem(storageKey);
    delete document.documentElement.dataset["theme"];
  } else {
    local.setItem(storageKey, theme);
    document.documentElement.dataset["theme"] = theme;
  }
}

/** The theme on screen, chosen by the user or by the system. */
export function shownTheme(): "light" | "dark" {
  const theme = readTheme();
  if (theme !== "auto") return theme;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
