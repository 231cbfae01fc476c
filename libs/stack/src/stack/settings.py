"""What the person who runs the stack asked for: the environment, read once.

Leaves what each service is told to `product`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import SettingsError

_HIGHEST_PORT = 65_535
_MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """The wishes behind one `make run`."""

    port: int
    """HUBBUB_PORT: the first gateway's; the others take the following ones. 0 chooses free neighbours."""
    data: Path
    """HUBBUB_DATA: everything that outlives the run, absolute."""
    gateways: int
    """GATEWAYS: how many, at least 1."""
    workers: int
    """WORKERS: how many messages workers, at least 1."""
    web_root: Path
    """HUBBUB_WEB_ROOT: the built web app."""
    environment: Mapping[str, str]
    """The whole environment, from which the processes get their share."""

    @classmethod
    def read(cls, environment: Mapping[str, str], here: Path) -> "Settings":
        """Read the environment, with relative paths meant from `here`. Raises SettingsError naming every problem."""
        problems: list[str] = []

        def number(name: str, default: int, low: int, high: int) -> int:
            text = environment.get(name, "") or str(default)
            if text.isascii() and text.isdigit() and low <= int(text) <= high:
                return int(text)
            problems.append(f"{name} must be a number from {low} to {high}, not {text!r}.")
            return default

        settings = cls(
            port=number("HUBBUB_PORT", 8080, 0, _HIGHEST_PORT),
            data=(here / (environment.get("HUBBUB_DATA") or ".hubbub")).absolute(),
            gateways=number("GATEWAYS", 1, 1, _MOST_PROCESSES),
            workers=number("WORKERS", 1, 1, _MOST_PROCESSES),
            web_root=(here / (environment.get("HUBBUB_WEB_ROOT") or "web/dist")).absolute(),
            environment=dict(environment),
        )
        if problems:
            raise SettingsError(" ".join(problems))
        return settings

    def given(self, variable: str) -> str:
        """Return what the person set `variable` to, or nothing: then the stack has a server of its own for it."""
        return self.environment.get(variable, "")
