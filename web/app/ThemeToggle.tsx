/** Owns the switch between light and dark. */
import { useState } from "react";

import { MoonIcon, SunIcon } from "./icons";
import { applyTheme, shownTheme } from "./theme";

export function ThemeToggle() {
  const [shown, setShown] = useState(shownTheme);
  const other = shown === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      className="icon-button"
      data-testid="theme"
      aria-label={`Switch to ${other} colours`}
      title={`Switch to ${other} colours`}
      onClick={() => {
        applyTheme(other);
        setShown(other);
      }}
    >
      {shown === "dark" ? <SunIcon /> : <MoonIcon />}
    </button>
  );
}
