/** Owns the choice of light or dark; leaves the colours to `styles/tokens.css`. */
import { local } from "./storage";

export type Theme = "auto" | "light" | "dark";

const storageKey = "hubbub.theme";

export function readTheme(): Theme {
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

/** What is on screen now, whoever chose it. */
export function shownTheme(): "light" | "dark" {
  const theme = readTheme();
  if (theme !== "auto") return theme;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
